"""A room with its meetings."""

from rooms.slot import Slot


class Occupied(Exception):
    """The room is not free at that time."""


class Room:
    def __init__(self, name, hours="08:00-18:00", seats=4):
        self.name = name
        self.hours = Slot.parse(hours)
        self.seats = seats
        self._meetings = []

    @property
    def meetings(self):
        """The meetings of the day, the earliest first."""
        return sorted(self._meetings)

    def book(self, text):
        """Add a meeting such as ``09:00-10:30``."""
        slot = Slot.parse(text)
        if slot.start < self.hours.start or slot.end > self.hours.end:
            raise Occupied(f"{self.name} is closed at {slot}")
        for meeting in self._meetings:
            if meeting.overlaps(slot):
                raise Occupied(f"{self.name} is taken at {meeting}")
        self._meetings.append(slot)
        return slot
