"""Beds, the roof, and what they take and give on a day."""

from dataclasses import dataclass
from typing import Sequence

from rainbarrel.weather import Day

# From this much rain on, nothing needs watering.
WET_MM = 5


@dataclass(frozen=True)
class Bed:
    """A bed and its need on a dry day of ordinary warmth."""

    name: str
    litres_a_day: int


@dataclass(frozen=True)
class Roof:
    """What catches the rain. One millimetre on one square metre is a litre."""

    area_m2: float
    # The part of the rain that reaches the barrel.
    yield_share: float = 0.8

    def catch(self, day: Day) -> int:
        """Litres that run into the barrel on a day."""
        return int(day.rain_mm * self.area_m2 * self.yield_share)


def need(beds: Sequence[Bed], day: Day) -> int:
    """Litres that all beds take on a day: none when it is wet, half as much
    again when it is hot."""
    if day.rain_mm >= WET_MM:
        return 0
    litres = sum(bed.litres_a_day for bed in beds)
    if day.is_hot:
        litres += litres // 2
    return litres
