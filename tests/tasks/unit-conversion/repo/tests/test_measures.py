import pytest

from measures import UnitError, convert, convert_text


def test_lengths():
    assert convert(1, "mi", "km") == pytest.approx(1.609344)
    assert convert(12, "in", "ft") == pytest.approx(1.0)


def test_mass():
    assert convert(2, "lb", "g") == pytest.approx(907.18474)


def test_celsius_and_kelvin():
    assert convert(0, "degC", "K") == pytest.approx(273.15)
    assert convert(300, "K", "degC") == pytest.approx(26.85)


def test_fahrenheit_to_celsius():
    assert convert(212, "degF", "degC") == pytest.approx(100.0)


def test_text():
    assert convert_text("12 ft", "m") == "3.66 m"


def test_kinds_do_not_mix():
    with pytest.raises(UnitError):
        convert(1, "m", "kg")


def test_unknown_unit():
    with pytest.raises(UnitError):
        convert(1, "furlong", "m")
