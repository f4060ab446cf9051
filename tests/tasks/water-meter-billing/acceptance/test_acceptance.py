import pytest

from waterbill.bill import amounts, lines, total
from waterbill.meter import Meter, ReadingError


@pytest.mark.parametrize(
    "digits, previous, current, expected",
    [(4, 9990, 15, 25), (3, 999, 0, 1), (5, 99999, 4, 5), (5, 50000, 49999, 99999)],
)
def test_dial_starts_again(digits, previous, current, expected):
    assert Meter("M", digits).used(previous, current) == expected


def test_last_cubic_metre_of_the_dial():
    assert Meter("M", digits=4).used(9999, 0) == 1


def test_total_over_the_end_of_the_dial():
    assert total(Meter("M", digits=4), [9990, 15]) == 450 + 20 * 150 + 5 * 240


def test_amounts_of_several_periods():
    readings = [970, 995, 20, 41]
    assert amounts(Meter("M", digits=3), readings) == [25, 25, 21]


def test_line_over_the_end_of_the_dial():
    assert lines(Meter("M", digits=4), [9995, 5]) == " 1     10 m3     19.50"


def test_up_to_the_largest_reading():
    assert Meter("M", digits=4).used(9990, 9999) == 9


def test_no_use_at_all():
    assert Meter("M", digits=4).used(9999, 9999) == 0
    assert Meter("M", digits=4).used(0, 0) == 0


def test_readings_are_still_checked():
    meter = Meter("M", digits=4)
    assert meter.largest == 9999
    for reading in (-1, 10000):
        with pytest.raises(ReadingError):
            meter.used(reading, 5)
        with pytest.raises(ReadingError):
            meter.used(5, reading)
