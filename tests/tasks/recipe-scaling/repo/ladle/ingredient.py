"""Ingredients, such as ``1 1/2 cups flour``."""

from dataclasses import dataclass
from fractions import Fraction

from ladle.units import canonical


@dataclass(frozen=True)
class Ingredient:
    """An amount of something; ``unit`` is empty for things one counts."""

    amount: Fraction
    unit: str
    name: str

    def __str__(self):
        whole, rest = divmod(self.amount, 1)
        parts = [str(whole)] if whole or not rest else []
        if rest:
            parts.append(str(rest))
        return " ".join(parts + [word for word in (self.unit, self.name) if word])


def parse(text):
    """Read an ingredient; without a number there is one of it."""
    words = text.split()
    amount = Fraction(0)
    while words and words[0][0].isdigit():
        amount += Fraction(words.pop(0))
    unit = ""
    if words and canonical(words[0]):
        unit = words.pop(0).lower()
    return Ingredient(amount or Fraction(1), unit, " ".join(words).lower())
