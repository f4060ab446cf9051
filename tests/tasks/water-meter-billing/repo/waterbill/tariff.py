"""Prices that go up with the amount used."""

from dataclasses import dataclass
from typing import Optional, Tuple


@dataclass(frozen=True)
class Step:
    """A price for each cubic metre up to an amount; None: without end."""

    up_to: Optional[int]
    price: int


@dataclass(frozen=True)
class Tariff:
    standing_charge: int
    steps: Tuple[Step, ...]

    def cost(self, amount: int) -> int:
        """The cost in cents of an amount of water, standing charge included."""
        total = self.standing_charge
        billed = 0
        for step in self.steps:
            end = amount if step.up_to is None else min(amount, step.up_to)
            if end > billed:
                total += (end - billed) * step.price
                billed = end
        return total


HOUSEHOLD = Tariff(
    standing_charge=450,
    steps=(Step(up_to=20, price=150), Step(up_to=None, price=240)),
)
