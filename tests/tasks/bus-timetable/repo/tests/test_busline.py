from datetime import date, datetime

import pytest

from busline.board import departures
from busline.days import parse_days
from busline.loader import TimetableError, load
from busline.search import next_departure

TABLE = """
# The stop at the church
12 ; Harbour ; Mon-Fri ; 16:55 6:40 07:10
N1 ; Station ; Thu ; 23:30
"""


def test_days():
    assert parse_days("Mon-Wed,Sat") == {1, 2, 3, 6}
    assert parse_days("Sat-Mon") == {6, 7, 1}
    assert parse_days("daily") == {1, 2, 3, 4, 5, 6, 7}


def test_the_board_of_a_wednesday():
    services = load("12 ; Harbour ; Mon-Fri ; 16:55 6:40 07:10")
    assert departures(services, date(2024, 5, 8), after="07:00") == [
        "07:10 12 Harbour",
        "16:55 12 Harbour",
    ]


def test_no_bus_to_nowhere():
    assert next_departure(load(TABLE), datetime(2024, 5, 8, 6, 0), "Nowhere") is None


def test_bad_lines_are_named():
    with pytest.raises(TimetableError, match="line 2"):
        load("# a remark\n12 ; Harbour ; Mox ; 06:40")
