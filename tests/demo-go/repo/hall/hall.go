// Package hall knows the rooms of the village hall and who has booked them.
package hall

import (
	"fmt"
	"sort"

	"example.org/villagehall/clock"
)

// Booking is one room, given to someone for a stretch of a day.
type Booking struct {
	Room string
	Who  string
	clock.Span
}

// Hall is the house on one day.
type Hall struct {
	// Open is when the house is open at all.
	Open clock.Span

	rooms    map[string]bool
	bookings []Booking
}

// New makes a house with these rooms and no booking.
func New(open clock.Span, rooms ...string) *Hall {
	known := make(map[string]bool, len(rooms))
	for _, room := range rooms {
		known[room] = true
	}
	return &Hall{Open: open, rooms: known}
}

// Book gives a room to someone. A room has one user at a time; two rooms may be
// in use at once.
func (h *Hall) Book(b Booking) error {
	if !h.rooms[b.Room] {
		return fmt.Errorf("there is no room %q", b.Room)
	}
	if b.Minutes() <= 0 || b.From < h.Open.From || b.To > h.Open.To {
		return fmt.Errorf("%v does not lie in %v, when the house is open", b.Span, h.Open)
	}
	for _, other := range h.bookings {
		if other.Room == b.Room && other.Overlaps(b.Span) {
			return fmt.Errorf("%s has the %s at %v", other.Who, other.Room, other.Span)
		}
	}
	h.bookings = append(h.bookings, b)
	return nil
}

// Cancel takes back every booking of somebody and says how many there were.
func (h *Hall) Cancel(who string) int {
	kept := make([]Booking, 0, len(h.bookings))
	for _, b := range h.bookings {
		if b.Who != who {
			kept = append(kept, b)
		}
	}
	n := len(h.bookings) - len(kept)
	h.bookings = kept
	return n
}

// Bookings returns all bookings, the earliest first; those that begin together
// by the name of the room.
func (h *Hall) Bookings() []Booking {
	sorted := append([]Booking(nil), h.bookings...)
	sort.Slice(sorted, func(i, j int) bool {
		if sorted[i].From != sorted[j].From {
			return sorted[i].From < sorted[j].From
		}
		return sorted[i].Room < sorted[j].Room
	})
	return sorted
}
