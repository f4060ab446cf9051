"""Finds buses."""

from datetime import date, datetime, timedelta
from typing import Iterable, List, NamedTuple, Optional

from busline.service import Service

# Whoever finds no bus within a week will not find one later.
DAYS_AHEAD = 7


class Departure(NamedTuple):
    when: datetime
    line: str
    to: str


def departures_on(services: Iterable[Service], day: date) -> List[Departure]:
    """All departures of a date, the earliest first."""
    found = [
        Departure(datetime.combine(day, at), service.line, service.to)
        for service in services
        if service.runs_on(day)
        for at in service.times
    ]
    return sorted(found)


def next_departure(services: List[Service], now: datetime, to: str) -> Optional[Departure]:
    """The next bus to somewhere, today or on one of the days after."""
    for ahead in range(DAYS_AHEAD + 1):
        for departure in departures_on(services, now.date() + timedelta(days=ahead)):
            if departure.to == to and departure.when >= now:
                return departure
    return None
