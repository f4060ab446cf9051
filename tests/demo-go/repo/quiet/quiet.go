// Package quiet finds the times at which nobody is in the house: then it can
// be cleaned, and the heating goes down.
package quiet

import (
	"example.org/villagehall/clock"
	"example.org/villagehall/hall"
)

// Times returns the spans of the opening hours in which no room is booked, in
// order. Shorter ones than minMinutes are left out.
func Times(h *hall.Hall, minMinutes int) []clock.Span {
	var quiet []clock.Span
	at := h.Open.From
	for _, b := range h.Bookings() {
		if gap := (clock.Span{From: at, To: b.From}); gap.Minutes() >= minMinutes {
			quiet = append(quiet, gap)
		}
		at = b.To
	}
	if rest := (clock.Span{From: at, To: h.Open.To}); rest.Minutes() >= minMinutes {
		quiet = append(quiet, rest)
	}
	return quiet
}
