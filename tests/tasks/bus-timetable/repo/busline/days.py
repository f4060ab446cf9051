"""Days of the week, as a timetable names them."""

from typing import FrozenSet

# Numbered as in ISO 8601: Monday is 1 and Sunday is 7.
NUMBERS = {"mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6, "sun": 7}


def _number(name: str) -> int:
    key = name.strip().lower()
    if key not in NUMBERS:
        raise ValueError(f"not a day of the week: {name!r}")
    return NUMBERS[key]


def parse_days(text: str) -> FrozenSet[int]:
    """Read ``daily``, or days and ranges of days such as ``Mon-Wed,Sat``."""
    if text.strip().lower() == "daily":
        return frozenset(NUMBERS.values())
    days = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        begin = _number(first)
        end = _number(last) if dash else begin
        if end < begin:
            # A range such as Sat-Mon goes on in the next week.
            end += 7
        days |= {(day - 1) % 7 + 1 for day in range(begin, end + 1)}
    return frozenset(days)
