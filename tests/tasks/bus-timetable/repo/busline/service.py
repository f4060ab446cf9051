"""One line of buses in one direction."""

from dataclasses import dataclass
from datetime import date, time
from typing import FrozenSet, Tuple


@dataclass(frozen=True)
class Service:
    """Goes at the same times on each of its days."""

    line: str
    to: str
    days: FrozenSet[int]
    times: Tuple[time, ...]

    def runs_on(self, day: date) -> bool:
        return day.weekday() in self.days
