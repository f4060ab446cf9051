"""The water in the barrel, day by day."""

from dataclasses import dataclass
from typing import List, Sequence


@dataclass(frozen=True)
class Barrel:
    """A barrel and what is in it when the forecast begins."""

    capacity: int
    level: int

    def __post_init__(self):
        if not 0 <= self.level <= self.capacity:
            raise ValueError("the level lies outside the barrel")


def levels(barrel: Barrel, inflow: Sequence[int], use: Sequence[int]) -> List[int]:
    """Litres in the barrel at the end of each day.

    It rains at night and the beds are watered in the evening: what does not
    fit into the barrel runs off before anything is taken out. A barrel never
    holds less than nothing.
    """
    level = barrel.level
    result = []
    for gained, taken in zip(inflow, use):
        level = level + gained - taken
        if level > barrel.capacity:
            level = barrel.capacity
        if level < 0:
            level = 0
        result.append(level)
    return result
