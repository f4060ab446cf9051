"""Tools, members and loans."""

from dataclasses import dataclass
from datetime import date
from typing import Optional


@dataclass(frozen=True)
class Tool:
    """A tool that can be borrowed."""

    name: str
    # Cents for each day that it is late.
    daily_fee: int
    # A fee never grows beyond what the tool is worth, in cents.
    value: int


@dataclass(frozen=True)
class Member:
    """Someone who borrows."""

    name: str
    # Supporters pay half of every fee.
    supporter: bool = False


@dataclass(frozen=True)
class Loan:
    """One tool, lent once to one member."""

    member: Member
    tool: Tool
    due: date
    returned: Optional[date] = None

    @property
    def is_open(self) -> bool:
        """True while the tool has not come back."""
        return self.returned is None
