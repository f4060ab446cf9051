package hall

import (
	"strings"
	"testing"

	"example.org/villagehall/clock"
)

var open = clock.Span{From: 8 * 60, To: 22 * 60}

func booking(room, who string, from, to int) Booking {
	return Booking{room, who, clock.Span{From: clock.Time(from * 60), To: clock.Time(to * 60)}}
}

func TestARoomHasOneUserAtATime(t *testing.T) {
	h := New(open, "stage", "kitchen")
	if err := h.Book(booking("stage", "choir", 18, 20)); err != nil {
		t.Fatal(err)
	}
	err := h.Book(booking("stage", "theatre", 19, 21))
	if err == nil || !strings.Contains(err.Error(), "choir has the stage at 18:00-20:00") {
		t.Errorf("got %v", err)
	}
	if err := h.Book(booking("kitchen", "cooks", 19, 21)); err != nil {
		t.Errorf("another room is free: %v", err)
	}
}

func TestBookingsOutsideTheOpeningHoursAreRefused(t *testing.T) {
	h := New(open, "stage")
	for _, b := range []Booking{
		booking("stage", "early", 7, 9),
		booking("stage", "late", 21, 23),
		booking("stage", "nobody", 9, 9),
		booking("attic", "ghost", 9, 10),
	} {
		if h.Book(b) == nil {
			t.Errorf("%v was booked", b)
		}
	}
}

func TestBookingsAreInOrderAndCanBeCancelled(t *testing.T) {
	h := New(open, "stage", "kitchen")
	for _, b := range []Booking{
		booking("stage", "choir", 18, 20),
		booking("stage", "yoga", 9, 10),
		booking("kitchen", "choir", 18, 19),
	} {
		if err := h.Book(b); err != nil {
			t.Fatal(err)
		}
	}
	rooms := ""
	for _, b := range h.Bookings() {
		rooms += b.Room + " "
	}
	if rooms != "stage kitchen stage " {
		t.Errorf("got %s", rooms)
	}
	if n := h.Cancel("choir"); n != 2 || len(h.Bookings()) != 1 {
		t.Errorf("%d were cancelled, %v are left", n, h.Bookings())
	}
}
