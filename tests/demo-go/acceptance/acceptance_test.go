// Package acceptance judges the patch. The agent never sees this file.
package acceptance

import (
	"fmt"
	"strings"
	"testing"

	"example.org/villagehall/book"
	"example.org/villagehall/clock"
	"example.org/villagehall/hall"
	"example.org/villagehall/notice"
	"example.org/villagehall/quiet"
)

func day(t *testing.T, lines ...string) *hall.Hall {
	t.Helper()
	h := hall.New(clock.Span{From: 8 * 60, To: 22 * 60}, "stage", "kitchen", "attic")
	if err := book.ReadInto(h, strings.NewReader(strings.Join(lines, "\n"))); err != nil {
		t.Fatal(err)
	}
	return h
}

func check(t *testing.T, h *hall.Hall, want string) {
	t.Helper()
	if got := fmt.Sprint(quiet.Times(h, 1)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestTheIssuesExample(t *testing.T) {
	h := day(t, "stage; 18:00; 21:00; choir", "kitchen; 18:30; 19:30; cooks")
	lines := strings.Split(notice.Write(h), "\n")
	if got := lines[2]; got != "Quiet: 08:00-18:00 21:00-22:00" {
		t.Errorf("got %s", got)
	}
}

func TestAThirdRoomComesAfterTheShortOne(t *testing.T) {
	h := day(t, "stage; 10:00; 16:00; fair", "kitchen; 11:00; 12:00; cooks", "attic; 15:00; 17:00; band")
	check(t, h, "[08:00-10:00 17:00-22:00]")
}

func TestManyShortOnesInALongOne(t *testing.T) {
	h := day(t, "stage; 9:00; 20:00; fair", "kitchen; 9:30; 10:00; a", "kitchen; 12:00; 13:00; b",
		"attic; 12:30; 12:45; c")
	check(t, h, "[08:00-09:00 20:00-22:00]")
}

func TestAllThatBeginTogether(t *testing.T) {
	h := day(t, "attic; 9:00; 12:00; band", "kitchen; 9:00; 10:00; cooks", "stage; 9:00; 11:00; choir")
	check(t, h, "[08:00-09:00 12:00-22:00]")
}

func TestToTheEndOfTheDay(t *testing.T) {
	h := day(t, "stage; 8:00; 22:00; fair", "kitchen; 10:00; 11:00; cooks")
	check(t, h, "[]")
	if got := notice.Write(h); !strings.HasSuffix(got, "The house is in use all day.\n") {
		t.Errorf("got %s", got)
	}
}

func TestAfterACancellation(t *testing.T) {
	h := day(t, "stage; 18:00; 21:00; choir", "kitchen; 18:30; 19:30; cooks")
	h.Cancel("choir")
	check(t, h, "[08:00-18:30 19:30-22:00]")
}

func TestOneAfterTheOtherIsAsBefore(t *testing.T) {
	h := day(t, "stage; 10:00; 11:00; yoga", "kitchen; 11:00; 12:00; cooks", "stage; 13:00; 14:00; choir")
	check(t, h, "[08:00-10:00 12:00-13:00 14:00-22:00]")
}
