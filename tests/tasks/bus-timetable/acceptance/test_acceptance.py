from datetime import date, datetime, timedelta

from busline.board import departures
from busline.days import parse_days
from busline.loader import load
from busline.search import departures_on, next_departure

MONDAY = date(2024, 5, 6)


def days_with_a_bus(days):
    """The days of a week, Monday is 0, on which a service goes."""
    services = load(f"12 ; Harbour ; {days} ; 06:40")
    week = [MONDAY + timedelta(days=number) for number in range(7)]
    return [day.weekday() for day in week if departures_on(services, day)]


def test_the_issues_example():
    services = load("12 ; Harbour ; Mon-Fri ; 06:40")
    assert departures(services, MONDAY) == ["06:40 12 Harbour"]


def test_every_range_of_days():
    assert days_with_a_bus("Mon-Fri") == [0, 1, 2, 3, 4]
    assert days_with_a_bus("Sat,Sun") == [5, 6]
    assert days_with_a_bus("Sat-Mon") == [0, 5, 6]


def test_daily_is_every_day():
    assert days_with_a_bus("daily") == [0, 1, 2, 3, 4, 5, 6]


def test_single_days():
    assert days_with_a_bus("Thu") == [3]
    assert days_with_a_bus("Sun") == [6]
    assert days_with_a_bus("Mon") == [0]


def test_the_next_bus_after_a_friday_evening():
    services = load("12 ; Harbour ; Mon-Fri ; 06:40\n12 ; Harbour ; Sun ; 10:00")
    found = next_departure(services, datetime(2024, 5, 10, 20, 0), "Harbour")
    assert found.when == datetime(2024, 5, 12, 10, 0)


def test_days_keep_their_numbers():
    assert parse_days("Mon") == {1}
    assert parse_days("daily") == {1, 2, 3, 4, 5, 6, 7}


def test_a_wednesday_in_order():
    services = load("12 ; Harbour ; Mon-Fri ; 16:55 6:40\n7 ; Mill ; Tue-Thu ; 08:00")
    assert departures(services, date(2024, 5, 8), after="06:41") == ["08:00 7 Mill", "16:55 12 Harbour"]


def test_the_next_bus_of_the_same_day():
    services = load("12 ; Harbour ; Mon-Fri ; 06:40 07:10")
    found = next_departure(services, datetime(2024, 5, 8, 6, 41), "Harbour")
    assert found.when == datetime(2024, 5, 8, 7, 10)
