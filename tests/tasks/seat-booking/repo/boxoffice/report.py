"""Reports on a show."""

from boxoffice.show import Show


def takings(show: Show) -> int:
    """The price of all seats that are booked."""
    free = set(show.free())
    return sum(show.house.price(seat) for seat in show.house.seats() if seat not in free)


def plan(show: Show) -> str:
    """The house as text: ``x`` for a seat that is booked, ``.`` for a free one."""
    free = set(show.free())
    rows = {}
    for seat in show.house.seats():
        rows[seat.row] = rows.get(seat.row, "") + ("." if seat in free else "x")
    return "\n".join(f"{row} {marks}" for row, marks in rows.items())
