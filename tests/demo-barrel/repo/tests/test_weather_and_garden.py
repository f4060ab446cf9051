import pytest

from rainbarrel.garden import Bed, Roof, need
from rainbarrel.weather import Day, ForecastError, read_forecast

BEDS = [Bed("beans", 6), Bed("roses", 4)]


def test_reads_a_forecast():
    assert read_forecast(["0 24", "", "3.5 19"]) == [Day(0, 24), Day(3.5, 19)]


def test_negative_rain_is_refused():
    with pytest.raises(ForecastError, match="line 1"):
        read_forecast(["-1 20"])


def test_hot_days_need_half_as_much_again():
    assert need(BEDS, Day(0, 24)) == 10
    assert need(BEDS, Day(0, 30)) == 15


def test_wet_days_need_nothing():
    assert need(BEDS, Day(5, 20)) == 0


def test_roof_catches_its_share():
    assert Roof(10).catch(Day(3, 20)) == 24
