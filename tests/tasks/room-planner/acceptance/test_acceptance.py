from rooms.gaps import free_slots
from rooms.planner import find_room, free_minutes
from rooms.room import Room


def room(name, *meetings, hours="08:00-18:00", seats=4):
    made = Room(name, hours=hours, seats=seats)
    for meeting in meetings:
        made.book(meeting)
    return made


def free(made, **options):
    return [str(slot) for slot in free_slots(made, **options)]


def test_the_room_of_the_issue():
    oak = room("Oak", "09:00-10:00")
    assert find_room([oak], 120) == ("Oak", "10:00")
    assert free_minutes([oak]) == 540


def test_free_before_between_and_after():
    oak = room("Oak", "13:00-14:30", "09:00-10:00")
    assert free(oak) == ["08:00-09:00", "10:00-13:00", "14:30-18:00"]


def test_a_meeting_at_the_very_beginning():
    assert free(room("Oak", "08:00-09:00")) == ["09:00-18:00"]


def test_the_end_of_the_day_obeys_the_shortest_length():
    oak = room("Oak", "08:00-17:45")
    assert free(oak) == ["17:45-18:00"]
    assert free(oak, shortest=30) == []


def test_after_a_time():
    oak = room("Oak", "09:00-10:00")
    assert find_room([oak], 60, after="16:30") == ("Oak", "16:30")
    assert find_room([oak], 60, after="17:01") is None


def test_a_meeting_up_to_the_very_end():
    assert free(room("Oak", "09:00-18:00")) == ["08:00-09:00"]
    assert find_room([room("Oak", "09:00-18:00")], 90) is None


def test_a_room_that_is_taken_all_day():
    assert free(room("Oak", "08:00-13:00", "13:00-18:00")) == []


def test_a_room_without_meetings():
    assert free(room("Oak")) == ["08:00-18:00"]
    assert free_minutes([room("Oak"), room("Elm", hours="10:00-12:00")]) == 720
