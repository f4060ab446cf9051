"""What a forecast means for a garden."""

from dataclasses import dataclass
from typing import List, Optional, Sequence

from rainbarrel.barrel import Barrel, levels
from rainbarrel.garden import Bed, Roof, need
from rainbarrel.weather import Day


@dataclass(frozen=True)
class Plan:
    """The barrel over the days of a forecast."""

    levels: List[int]
    # Index of the first day that ends with an empty barrel.
    dry_on: Optional[int]


def make_plan(
    barrel: Barrel, roof: Roof, beds: Sequence[Bed], forecast: Sequence[Day]
) -> Plan:
    """Runs the barrel through a forecast."""
    inflow = [roof.catch(day) for day in forecast]
    use = [need(beds, day) for day in forecast]
    ends = levels(barrel, inflow, use)
    dry_on = None
    for index, level in enumerate(ends):
        if level == 0:
            dry_on = index
            break
    return Plan(levels=ends, dry_on=dry_on)
