"""Conversion between units of measurement.

Each unit belongs to a kind (length, mass, temperature) and says how a value
in it becomes a value in the base unit of that kind (metre, kilogram, kelvin):

    base value = value * factor + offset

Only temperatures have an offset.
"""

from dataclasses import dataclass


class UnitError(ValueError):
    """An unknown unit, or two units that do not go together."""


@dataclass(frozen=True)
class Unit:
    symbol: str
    kind: str
    factor: float
    offset: float = 0.0

    def to_base(self, value):
        """A value in this unit, in the base unit of its kind."""
        return value * self.factor + self.offset

    def from_base(self, value):
        """A value in the base unit, in this unit."""
        return value / self.factor - self.offset


_UNITS = {}


def register(unit):
    """Make a unit known by its symbol."""
    if unit.symbol in _UNITS:
        raise UnitError(f"{unit.symbol} is already known")
    _UNITS[unit.symbol] = unit
    return unit


for _unit in (
    Unit("m", "length", 1.0),
    Unit("km", "length", 1000.0),
    Unit("cm", "length", 0.01),
    Unit("in", "length", 0.0254),
    Unit("ft", "length", 0.3048),
    Unit("mi", "length", 1609.344),
    Unit("kg", "mass", 1.0),
    Unit("g", "mass", 0.001),
    Unit("lb", "mass", 0.45359237),
    Unit("K", "temperature", 1.0),
    Unit("degC", "temperature", 1.0, 273.15),
    Unit("degF", "temperature", 5 / 9, 459.67 * 5 / 9),
    Unit("degR", "temperature", 5 / 9),
):
    register(_unit)


def unit(symbol):
    """The unit that a symbol names."""
    try:
        return _UNITS[symbol]
    except KeyError:
        raise UnitError(f"unknown unit: {symbol}") from None


def convert(value, source, target):
    """Convert a value from one unit to another of the same kind."""
    old, new = unit(source), unit(target)
    if old.kind != new.kind:
        raise UnitError(f"{source} is a {old.kind}, {target} is a {new.kind}")
    return new.from_base(old.to_base(value))


def convert_text(text, target, digits=2):
    """Convert text such as ``"12 ft"``; the answer is text as well."""
    number, _, source = text.strip().partition(" ")
    value = convert(float(number), source.strip(), target)
    return f"{value:.{digits}f} {target}"
