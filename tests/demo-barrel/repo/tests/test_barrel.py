import pytest

from rainbarrel.barrel import Barrel, levels


def test_dry_days_empty_the_barrel():
    assert levels(Barrel(100, 30), [0, 0], [10, 10]) == [20, 10]


def test_never_below_nothing():
    assert levels(Barrel(100, 15), [0, 0, 5], [10, 10, 0]) == [5, 0, 5]


def test_a_full_barrel_overflows():
    assert levels(Barrel(100, 90), [50], [0]) == [100]


def test_rain_and_watering_on_one_day():
    assert levels(Barrel(100, 40), [20], [10]) == [50]


def test_level_outside_the_barrel_is_refused():
    with pytest.raises(ValueError):
        Barrel(100, 101)
