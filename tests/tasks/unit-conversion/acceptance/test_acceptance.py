import pytest

from measures import Unit, convert, convert_text


@pytest.mark.parametrize(
    "celsius, fahrenheit", [(0, 32), (100, 212), (-40, -40), (37, 98.6)]
)
def test_celsius_to_fahrenheit(celsius, fahrenheit):
    assert convert(celsius, "degC", "degF") == pytest.approx(fahrenheit)


def test_fahrenheit_there_and_back():
    assert convert(convert(71, "degF", "K"), "K", "degF") == pytest.approx(71)


def test_same_unit_changes_nothing():
    assert convert(50, "degF", "degF") == pytest.approx(50)


def test_absolute_zero_in_fahrenheit():
    assert convert(0, "K", "degF") == pytest.approx(-459.67)


def test_text_to_fahrenheit():
    assert convert_text("20 degC", "degF", digits=1) == "68.0 degF"


def test_a_unit_of_ones_own_with_an_offset():
    reaumur = Unit("degRe", "temperature", 1.25, 273.15)
    assert reaumur.from_base(373.15) == pytest.approx(80)
    assert reaumur.from_base(reaumur.to_base(33)) == pytest.approx(33)


def test_other_temperatures_stay_right():
    assert convert(25, "degC", "K") == pytest.approx(298.15)
    assert convert(50, "degF", "degC") == pytest.approx(10)
    assert convert(300, "K", "degR") == pytest.approx(540)


def test_lengths_stay_right():
    assert convert(3, "ft", "in") == pytest.approx(36)
