package notice

import (
	"testing"

	"example.org/villagehall/clock"
	"example.org/villagehall/hall"
)

func TestTheNoticeOfADay(t *testing.T) {
	h := hall.New(clock.Span{From: 480, To: 1320}, "stage", "kitchen")
	for _, b := range []hall.Booking{
		{Room: "stage", Who: "choir", Span: clock.Span{From: 1080, To: 1200}},
		{Room: "kitchen", Who: "cooks", Span: clock.Span{From: 480, To: 1050}},
	} {
		if err := h.Book(b); err != nil {
			t.Fatal(err)
		}
	}
	want := "08:00-17:30  kitchen  cooks\n18:00-20:00  stage    choir\nQuiet: 17:30-18:00 20:00-22:00\n"
	if got := Write(h); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
