// Package notice writes the notice that hangs at the door.
package notice

import (
	"fmt"
	"strings"

	"example.org/villagehall/hall"
	"example.org/villagehall/quiet"
)

// cleaningMinutes is the shortest time for which the cleaner comes.
const cleaningMinutes = 30

// Write returns the notice of a day: its bookings, then when the house is quiet.
func Write(h *hall.Hall) string {
	var text strings.Builder
	for _, b := range h.Bookings() {
		fmt.Fprintf(&text, "%v  %-8s %s\n", b.Span, b.Room, b.Who)
	}
	quietTimes := quiet.Times(h, cleaningMinutes)
	if len(quietTimes) == 0 {
		text.WriteString("The house is in use all day.\n")
		return text.String()
	}
	text.WriteString("Quiet:")
	for _, span := range quietTimes {
		fmt.Fprintf(&text, " %v", span)
	}
	text.WriteString("\n")
	return text.String()
}
