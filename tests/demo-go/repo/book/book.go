// Package book reads the booking book: one booking a line, fields set apart by
// semicolons.
//
//	room ; from ; to ; who
package book

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"example.org/villagehall/clock"
	"example.org/villagehall/hall"
)

// ReadInto books every line of r in h. Empty lines and lines that start with #
// are skipped; the first line that is wrong ends it.
func ReadInto(h *hall.Hall, r io.Reader) error {
	lines := bufio.NewScanner(r)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		booking, err := parse(line)
		if err == nil {
			err = h.Book(booking)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
	}
	return lines.Err()
}

func parse(line string) (hall.Booking, error) {
	fields := strings.Split(line, ";")
	if len(fields) != 4 {
		return hall.Booking{}, fmt.Errorf("expected 4 fields, found %d", len(fields))
	}
	from, err := clock.Parse(fields[1])
	if err != nil {
		return hall.Booking{}, err
	}
	to, err := clock.Parse(fields[2])
	if err != nil {
		return hall.Booking{}, err
	}
	return hall.Booking{
		Room: strings.TrimSpace(fields[0]),
		Who:  strings.TrimSpace(fields[3]),
		Span: clock.Span{From: from, To: to},
	}, nil
}
