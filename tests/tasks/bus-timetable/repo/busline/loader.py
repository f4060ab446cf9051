"""Reads timetables."""

from typing import List

from busline.clock import parse_time
from busline.days import parse_days
from busline.service import Service


class TimetableError(ValueError):
    """A line that cannot be read."""


def load(text: str) -> List[Service]:
    """The services of a timetable; empty lines and remarks (#) are passed over."""
    services = []
    for number, row in enumerate(text.splitlines(), start=1):
        row = row.strip()
        if not row or row.startswith("#"):
            continue
        fields = [field.strip() for field in row.split(";")]
        if len(fields) != 4:
            raise TimetableError(f"line {number}: expected 4 fields")
        line, to, days, times = fields
        try:
            parsed = tuple(sorted(parse_time(part) for part in times.split()))
            services.append(Service(line, to, parse_days(days), parsed))
        except ValueError as error:
            raise TimetableError(f"line {number}: {error}") from None
    return services
