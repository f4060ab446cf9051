"""The bookings of one show."""

from typing import Dict, Iterable, List, Optional

from boxoffice.errors import NoSuchSeat, SeatTaken
from boxoffice.house import House
from boxoffice.seats import Seat, parse_seat


class Show:
    def __init__(self, house: House):
        self.house = house
        self._holder: Dict[Seat, str] = {}

    def book(self, customer: str, labels: Iterable[str]) -> int:
        """Book all of some seats for a customer, or none of them.

        Returns the price. A seat that is named twice counts once.
        """
        seats = sorted({parse_seat(label) for label in labels})
        for seat in seats:
            if not self.house.has(seat):
                raise NoSuchSeat(str(seat))
            if seat in self._holder:
                raise SeatTaken(str(seat))
            self._holder[seat] = customer
        return sum(self.house.price(seat) for seat in seats)

    def cancel(self, customer: str) -> int:
        """Give back all seats of a customer; returns how many there were."""
        seats = self.seats_of(customer)
        for seat in seats:
            del self._holder[seat]
        return len(seats)

    def holder(self, label: str) -> Optional[str]:
        return self._holder.get(parse_seat(label))

    def seats_of(self, customer: str) -> List[Seat]:
        return sorted(seat for seat, name in self._holder.items() if name == customer)

    def free(self) -> List[Seat]:
        return [seat for seat in self.house.seats() if seat not in self._holder]
