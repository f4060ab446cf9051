"""The board at the stop."""

from datetime import date
from typing import List

from busline.clock import format_time, parse_time
from busline.search import departures_on
from busline.service import Service


def departures(services: List[Service], day: date, after: str = "00:00") -> List[str]:
    """A line of text for each departure of a date from some time on."""
    begin = parse_time(after)
    return [
        f"{format_time(departure.when.time())} {departure.line} {departure.to}"
        for departure in departures_on(services, day)
        if departure.when.time() >= begin
    ]
