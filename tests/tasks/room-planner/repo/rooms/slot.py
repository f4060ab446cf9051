"""A stretch of a day."""

from dataclasses import dataclass

from rooms.clock import clock, minutes


@dataclass(frozen=True, order=True)
class Slot:
    """From ``start`` up to, but not including, ``end``; in minutes."""

    start: int
    end: int

    def __post_init__(self):
        if self.start >= self.end:
            raise ValueError("a slot ends after it has begun")

    @classmethod
    def parse(cls, text):
        """Read ``09:00-10:30``."""
        start, _, end = text.partition("-")
        return cls(minutes(start), minutes(end))

    @property
    def length(self):
        return self.end - self.start

    def overlaps(self, other):
        """Whether both share a minute. Slots that only touch do not."""
        return self.start < other.end and other.start < self.end

    def __str__(self):
        return f"{clock(self.start)}-{clock(self.end)}"
