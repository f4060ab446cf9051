"""What can go wrong at the box office."""


class BookingError(Exception):
    """A booking that cannot be made."""


class SeatTaken(BookingError):
    """Someone has the seat already."""


class NoSuchSeat(BookingError):
    """The house does not have the seat."""
