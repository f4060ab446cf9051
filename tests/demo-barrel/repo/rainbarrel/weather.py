"""Reads a forecast: one day a line, `rain_mm high_c`."""

from dataclasses import dataclass
from typing import Iterable, List


class ForecastError(ValueError):
    """A line of a forecast that cannot be read."""


@dataclass(frozen=True)
class Day:
    """A day's weather."""

    rain_mm: float
    high_c: float

    @property
    def is_hot(self) -> bool:
        """True on days when beds need more water."""
        return self.high_c >= 28


def read_forecast(lines: Iterable[str]) -> List[Day]:
    """The days of a forecast, in order. Empty lines are skipped."""
    days = []
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 2:
            raise ForecastError(f"line {number}: expected rain and temperature")
        rain, high = float(fields[0]), float(fields[1])
        if rain < 0:
            raise ForecastError(f"line {number}: rain cannot be negative")
        days.append(Day(rain, high))
    return days
