"""Where each entrant starts."""

from typing import List, Sequence


def seed_order(size: int) -> List[int]:
    """Seeds by position, so that the best two can meet in the final only.

    >>> seed_order(4)
    [1, 4, 2, 3]
    """
    order = [1]
    while len(order) < size:
        both = 2 * len(order) + 1
        order = [seed for top in order for seed in (top, both - top)]
    return order


def first_round(entrants: Sequence[str]) -> list:
    """The sides of the first round by position, filled up with byes."""
    size = 1
    while size < len(entrants):
        size *= 2
    filled = list(entrants) + ["bye"] * (size - len(entrants))
    return [filled[seed - 1] for seed in seed_order(size)]
