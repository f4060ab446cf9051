package quiet

import (
	"fmt"
	"testing"

	"example.org/villagehall/clock"
	"example.org/villagehall/hall"
)

func houseWith(t *testing.T, bookings ...hall.Booking) *hall.Hall {
	t.Helper()
	h := hall.New(clock.Span{From: 8 * 60, To: 22 * 60}, "stage", "kitchen")
	for _, b := range bookings {
		if err := h.Book(b); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func booking(room string, from, to int) hall.Booking {
	return hall.Booking{
		Room: room,
		Who:  "someone",
		Span: clock.Span{From: clock.Time(from), To: clock.Time(to)},
	}
}

func TestAnEmptyHouseIsQuietAllDay(t *testing.T) {
	if got := fmt.Sprint(Times(houseWith(t), 15)); got != "[08:00-22:00]" {
		t.Errorf("got %s", got)
	}
}

func TestTheTimesBetweenBookings(t *testing.T) {
	h := houseWith(t, booking("stage", 600, 660), booking("kitchen", 720, 780))
	if got := fmt.Sprint(Times(h, 15)); got != "[08:00-10:00 11:00-12:00 13:00-22:00]" {
		t.Errorf("got %s", got)
	}
}

func TestTwoRoomsThatOverlap(t *testing.T) {
	h := houseWith(t, booking("stage", 480, 660), booking("kitchen", 600, 720))
	if got := fmt.Sprint(Times(h, 15)); got != "[12:00-22:00]" {
		t.Errorf("got %s", got)
	}
}

func TestShortBreaksDoNotCount(t *testing.T) {
	h := houseWith(t, booking("stage", 480, 900), booking("stage", 910, 1320))
	if got := Times(h, 15); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}
