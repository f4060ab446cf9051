import pytest

from waterbill.meter import Meter, ReadingError


def test_used():
    assert Meter("A1").used(120, 155) == 35


def test_nothing_used():
    assert Meter("A1").used(120, 120) == 0


def test_dial_that_starts_again_is_not_negative():
    assert Meter("A1", digits=3).used(990, 10) > 0


def test_reading_that_does_not_fit_the_dial():
    with pytest.raises(ReadingError):
        Meter("A1", digits=4).used(9999, 10000)
