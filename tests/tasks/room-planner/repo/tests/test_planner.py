from rooms.gaps import free_slots
from rooms.planner import find_room
from rooms.room import Room


def room(name, *meetings, seats=4):
    made = Room(name, hours="08:00-12:00", seats=seats)
    for meeting in meetings:
        made.book(meeting)
    return made


def test_free_between_meetings():
    oak = room("Oak", "09:00-10:00", "10:15-12:00")
    assert [str(slot) for slot in free_slots(oak)] == ["08:00-09:00", "10:00-10:15"]
    assert [str(slot) for slot in free_slots(oak, shortest=30)] == ["08:00-09:00"]


def test_a_room_without_meetings():
    assert [str(slot) for slot in free_slots(room("Oak"))] == ["08:00-12:00"]


def test_the_earliest_room_is_found():
    oak = room("Oak", "08:00-09:00", "10:00-12:00")
    elm = room("Elm", "09:00-12:00")
    assert find_room([oak, elm], 60) == ("Elm", "08:00")
    assert find_room([oak, elm], 60, after="08:30") == ("Oak", "09:00")


def test_the_smallest_room_that_is_large_enough():
    rooms = [room("Hall", seats=40), room("Oak", seats=8), room("Nook", seats=2)]
    assert find_room(rooms, 60, people=5) == ("Oak", "08:00")
