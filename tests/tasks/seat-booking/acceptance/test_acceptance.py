import pytest

from boxoffice.errors import NoSuchSeat, SeatTaken
from boxoffice.house import House
from boxoffice.report import plan, takings
from boxoffice.show import Show


@pytest.fixture
def show():
    show = Show(House({"A": 40, "B": 25, "C": 10}, width=5))
    show.book("Ida", ["B3"])
    return show


def test_refused_booking_holds_nothing(show):
    with pytest.raises(SeatTaken):
        show.book("Bo", ["B1", "B2", "B3", "B4"])
    assert show.seats_of("Bo") == []
    assert show.holder("B1") is None


def test_seats_are_there_for_the_next_customer(show):
    with pytest.raises(SeatTaken):
        show.book("Bo", ["A1", "B3"])
    assert show.book("Cy", ["A1"]) == 40
    assert show.holder("A1") == "Cy"


def test_seat_that_does_not_exist(show):
    with pytest.raises(NoSuchSeat):
        show.book("Bo", ["C1", "C6"])
    assert len(show.free()) == 14
    with pytest.raises(NoSuchSeat):
        show.book("Bo", ["A1", "Z1"])
    assert len(show.free()) == 14


def test_plan_and_takings_after_a_refusal(show):
    with pytest.raises(SeatTaken):
        show.book("Bo", ["A5", "B2", "B3"])
    assert takings(show) == 25
    assert plan(show) == "A .....\nB ..x..\nC ....."


def test_second_try_with_other_seats(show):
    with pytest.raises(SeatTaken):
        show.book("Bo", ["B2", "B3"])
    assert show.book("Bo", ["B1", "B2"]) == 50


def test_earlier_booking_of_the_same_customer_is_kept(show):
    with pytest.raises(SeatTaken):
        show.book("Ida", ["A1", "B3"])
    assert [str(seat) for seat in show.seats_of("Ida")] == ["B3"]


def test_good_booking(show):
    assert show.book("Bo", ["C1", "c1", "A5"]) == 50
    assert [str(seat) for seat in show.seats_of("Bo")] == ["A5", "C1"]


def test_cancelled_seats_can_be_booked(show):
    assert show.cancel("Ida") == 1
    assert show.book("Bo", ["B3"]) == 25
    assert show.holder("B3") == "Bo"


def test_label_that_is_no_seat(show):
    with pytest.raises(ValueError):
        show.book("Bo", ["A1", "first"])
    assert show.seats_of("Bo") == []
