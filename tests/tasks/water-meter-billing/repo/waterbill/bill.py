"""Bills: a meter, a tariff, and the readings of a year."""

from typing import List, Sequence

from waterbill.meter import Meter
from waterbill.tariff import HOUSEHOLD, Tariff


def amounts(meter: Meter, readings: Sequence[int]) -> List[int]:
    """The amount used in each period between readings."""
    return [meter.used(a, b) for a, b in zip(readings, readings[1:])]


def total(meter: Meter, readings: Sequence[int], tariff: Tariff = HOUSEHOLD) -> int:
    """What all periods cost together; each is billed by itself."""
    return sum(tariff.cost(amount) for amount in amounts(meter, readings))


def lines(meter: Meter, readings: Sequence[int], tariff: Tariff = HOUSEHOLD) -> str:
    """The bill as text, one period a line."""
    rows = []
    for number, amount in enumerate(amounts(meter, readings), start=1):
        cost = tariff.cost(amount)
        rows.append(f"{number:>2} {amount:>6} m3 {cost // 100:>6}.{cost % 100:02}")
    return "\n".join(rows)
