"""Tide tables: the times and heights of high and low water at one harbour."""

import math
from dataclasses import dataclass
from datetime import datetime

HIGH = "high"
LOW = "low"


@dataclass(frozen=True, order=True)
class Tide:
    """One high or low water; the height is in metres."""

    time: datetime
    height: float
    kind: str


def _hours(delta):
    """A timedelta in hours; one that points back in time is negative."""
    return delta.seconds / 3600


def parse_line(line):
    """Read a line such as ``2024-03-05 04:12 high 5.3``."""
    day, clock, kind, height = line.split()
    if kind not in (HIGH, LOW):
        raise ValueError(f"neither high nor low: {kind}")
    time = datetime.strptime(f"{day} {clock}", "%Y-%m-%d %H:%M")
    return Tide(time, float(height), kind)


def parse_table(text):
    """Read a table, one tide a line; blank lines do not count."""
    return TideTable(parse_line(line) for line in text.splitlines() if line.strip())


class TideTable:
    """The tides of a harbour, in order of time."""

    def __init__(self, tides):
        self.tides = sorted(tides)

    def next_tide(self, now, kind=None):
        """The first tide at or after a time, or None."""
        for tide in self.tides:
            if tide.time >= now and kind in (None, tide.kind):
                return tide
        return None

    def hours_until(self, tide, now):
        """Hours from now to a tide; negative for a tide that is over."""
        return _hours(tide.time - now)

    def longest_gap(self):
        """The most hours between a tide and the one after it."""
        pairs = zip(self.tides, self.tides[1:])
        return max((_hours(b.time - a.time) for a, b in pairs), default=0.0)

    def height_at(self, when):
        """The height of the water, on a cosine between two tides."""
        for before, after in zip(self.tides, self.tides[1:]):
            if before.time <= when <= after.time:
                part = _hours(when - before.time) / _hours(after.time - before.time)
                swing = (before.height - after.height) / 2
                middle = (before.height + after.height) / 2
                return middle + swing * math.cos(math.pi * part)
        raise ValueError("the table does not reach that time")
