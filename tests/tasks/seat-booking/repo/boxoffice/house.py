"""The house: its rows, and what a seat in each costs."""

from typing import Dict, Iterator

from boxoffice.seats import Seat


class House:
    """Rows by letter; every row has the same number of seats."""

    def __init__(self, prices: Dict[str, int], width: int):
        self.prices = dict(prices)
        self.width = width

    def has(self, seat: Seat) -> bool:
        return seat.row in self.prices and 1 <= seat.number <= self.width

    def price(self, seat: Seat) -> int:
        return self.prices[seat.row]

    def seats(self) -> Iterator[Seat]:
        for row in sorted(self.prices):
            for number in range(1, self.width + 1):
                yield Seat(row, number)
