// Package clock reads and writes times of day.
package clock

import (
	"fmt"
	"strconv"
	"strings"
)

// Time is a time of day in minutes since midnight; 24:00 is the end of a day.
type Time int

// Parse reads "9:30" or "09:30".
func Parse(text string) (Time, error) {
	text = strings.TrimSpace(text)
	hours, minutes, found := strings.Cut(text, ":")
	h, errH := strconv.Atoi(hours)
	m, errM := strconv.Atoi(minutes)
	t := Time(h*60 + m)
	if !found || errH != nil || errM != nil || h < 0 || m < 0 || m > 59 || t > 24*60 {
		return 0, fmt.Errorf("%q is no time of day", text)
	}
	return t, nil
}

// String writes a time as "09:30".
func (t Time) String() string {
	return fmt.Sprintf("%02d:%02d", int(t)/60, int(t)%60)
}

// Span is a stretch of a day: From is in it, To is not.
type Span struct {
	From, To Time
}

// Minutes is how long a span lasts.
func (s Span) Minutes() int {
	return int(s.To - s.From)
}

// Overlaps says whether two spans share a minute.
func (s Span) Overlaps(other Span) bool {
	return s.From < other.To && other.From < s.To
}

// String writes a span as "09:30-11:00".
func (s Span) String() string {
	return s.From.String() + "-" + s.To.String()
}
