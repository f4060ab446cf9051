"""Dice as players write them: ``2d6 + 3``, ``d20 - d4``."""

import re
from dataclasses import dataclass

_TERM = re.compile(r"([+-]?)(?:(\d*)d(\d+)|(\d+))")


class NotationError(ValueError):
    """Text that is no dice notation."""


@dataclass(frozen=True)
class Term:
    """A number of equal dice, added or taken away.

    A plain number is that number of dice with one side each.
    """

    sign: int
    count: int
    sides: int

    @property
    def lowest(self):
        """The smallest number that this term can add to a sum."""
        return self.sign * self.count

    @property
    def highest(self):
        """The largest number that this term can add to a sum."""
        return self.sign * self.count * self.sides

    def roll(self, rng):
        return self.sign * sum(rng.randint(1, self.sides) for _ in range(self.count))


@dataclass(frozen=True)
class Dice:
    """The sum of some terms."""

    terms: tuple

    def lowest(self):
        """The smallest possible result."""
        return sum(term.lowest for term in self.terms)

    def highest(self):
        """The largest possible result."""
        return sum(term.highest for term in self.terms)

    def average(self):
        """The mean over many rolls."""
        return (self.lowest() + self.highest()) / 2

    def can_reach(self, target):
        """Whether some roll gives at least the target."""
        return self.highest() >= target

    def always_reaches(self, target):
        """Whether every roll gives at least the target."""
        return self.lowest() >= target

    def roll(self, rng):
        """One result; ``rng`` is a ``random.Random``."""
        return sum(term.roll(rng) for term in self.terms)


def parse(text):
    """Read dice notation. Spaces do not matter, nor does the case of ``d``."""
    compact = "".join(text.split()).lower()
    terms = []
    position = 0
    while position < len(compact):
        found = _TERM.match(compact, position)
        if found is None or (terms and not found.group(1)):
            raise NotationError(f"not dice: {text!r}")
        sign, count, sides, number = found.groups()
        factor = -1 if sign == "-" else 1
        if number is not None:
            terms.append(Term(factor, int(number), 1))
        else:
            if int(sides) < 1:
                raise NotationError(f"a die needs a side: {text!r}")
            terms.append(Term(factor, int(count or 1), int(sides)))
        position = found.end()
    if not terms:
        raise NotationError("there are no dice")
    return Dice(tuple(terms))
