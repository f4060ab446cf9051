import pytest

from rooms.room import Occupied, Room
from rooms.slot import Slot


def test_meetings_may_touch():
    room = Room("Oak")
    room.book("10:00-11:00")
    room.book("09:00-10:00")
    assert [str(slot) for slot in room.meetings] == ["09:00-10:00", "10:00-11:00"]


def test_meetings_may_not_overlap():
    room = Room("Oak")
    room.book("10:00-11:00")
    with pytest.raises(Occupied):
        room.book("10:30-11:30")


def test_closed():
    with pytest.raises(Occupied):
        Room("Oak").book("07:30-09:00")


def test_slots():
    assert Slot.parse("09:00-10:30").length == 90
    with pytest.raises(ValueError):
        Slot.parse("10:00-10:00")
