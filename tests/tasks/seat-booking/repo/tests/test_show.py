import pytest

from boxoffice.errors import NoSuchSeat, SeatTaken
from boxoffice.house import House
from boxoffice.report import plan, takings
from boxoffice.seats import Seat, parse_seat
from boxoffice.show import Show


@pytest.fixture
def show():
    return Show(House({"A": 30, "B": 20}, width=4))


def test_parse_seat():
    assert parse_seat(" b12 ") == Seat("B", 12)
    with pytest.raises(ValueError):
        parse_seat("12")


def test_book(show):
    assert show.book("Ida", ["A2", "B2", "a2"]) == 50
    assert show.holder("A2") == "Ida"
    assert plan(show) == "A .x..\nB .x.."
    assert takings(show) == 50


def test_seat_is_taken(show):
    show.book("Ida", ["A2"])
    with pytest.raises(SeatTaken):
        show.book("Bo", ["A2"])
    assert show.holder("A2") == "Ida"


def test_no_such_seat(show):
    with pytest.raises(NoSuchSeat):
        show.book("Bo", ["B5"])


def test_cancel(show):
    show.book("Ida", ["A1", "A2"])
    assert show.cancel("Ida") == 2
    assert len(show.free()) == 8
