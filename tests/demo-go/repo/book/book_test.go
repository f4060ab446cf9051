package book

import (
	"strings"
	"testing"

	"example.org/villagehall/clock"
	"example.org/villagehall/hall"
)

func TestABookIsRead(t *testing.T) {
	h := hall.New(clock.Span{From: 480, To: 1320}, "stage", "kitchen")
	text := "# Tuesday\nstage; 18:00; 20:00; choir\n\nkitchen; 9:00; 10:30; cooks\n"
	if err := ReadInto(h, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	first := h.Bookings()[0]
	if first.Who != "cooks" || first.Minutes() != 90 {
		t.Errorf("got %v", first)
	}
}

func TestAWrongLineIsNamed(t *testing.T) {
	for text, want := range map[string]string{
		"stage; 18:00; choir":             "line 1: expected 4 fields, found 3",
		"\nstage; six; 20:00; choir":      "line 2: \"six\" is no time of day",
		"cellar; 18:00; 20:00; the mouse": "line 1: there is no room \"cellar\"",
	} {
		h := hall.New(clock.Span{From: 480, To: 1320}, "stage")
		err := ReadInto(h, strings.NewReader(text))
		if err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}
