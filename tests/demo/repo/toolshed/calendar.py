"""Which days count as late.

The shed is closed on Sundays: nobody can bring a tool back then, so a Sunday
is never counted as a late day.
"""

from datetime import date, timedelta

from toolshed.model import Loan

SUNDAY = 6


def is_open_day(day: date) -> bool:
    """True if the shed is open on `day`."""
    return day.weekday() != SUNDAY


def days_late(loan: Loan, until: date) -> int:
    """Open days between a loan's due date and its return.

    The due date itself is in time; the day of the return counts. A tool that
    is still out, or that came back after `until`, is counted up to `until`.
    """
    end = until
    if loan.returned is not None and loan.returned < until:
        end = loan.returned
    late = 0
    day = loan.due + timedelta(days=1)
    while day <= end:
        if is_open_day(day):
            late += 1
        day += timedelta(days=1)
    return late
