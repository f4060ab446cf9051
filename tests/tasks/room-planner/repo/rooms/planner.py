"""Looks for a room."""

from rooms.clock import clock, minutes
from rooms.gaps import free_slots


def find_room(rooms, length, people=1, after="00:00"):
    """The earliest time at which a room is free for ``length`` minutes.

    A pair of the room's name and the time, or None if there is no such room.
    Among rooms that are free at the same time the smallest one is taken.
    """
    earliest = minutes(after)
    options = []
    for room in rooms:
        if room.seats < people:
            continue
        for slot in free_slots(room, shortest=length):
            start = max(slot.start, earliest)
            if start + length <= slot.end:
                options.append((start, room.seats, room.name))
                break
    if not options:
        return None
    start, _, name = min(options)
    return name, clock(start)


def free_minutes(rooms):
    """How many minutes all rooms together are free."""
    return sum(slot.length for room in rooms for slot in free_slots(room))
