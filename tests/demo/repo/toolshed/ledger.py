"""What a member owes, tool by tool."""

from datetime import date
from typing import Dict, Iterable, List

from toolshed.calendar import days_late
from toolshed.fees import late_fee
from toolshed.model import Loan, Member


def loans_of(member: Member, loans: Iterable[Loan]) -> List[Loan]:
    """The loans of one member, oldest due date first."""
    own = [loan for loan in loans if loan.member == member]
    return sorted(own, key=lambda loan: loan.due)


def fees_by_tool(member: Member, loans: Iterable[Loan], until: date) -> Dict[str, int]:
    """Late fees of a member in cents, by the name of the tool.

    Tools without a fee are left out; the others stand in the order in which
    they first became late.
    """
    fees: Dict[str, int] = {}
    for loan in loans_of(member, loans):
        days = days_late(loan, until)
        fee = late_fee(loan.tool, member, days)
        if fee > 0:
            fees[loan.tool.name] = fee
    return fees


def still_out(member: Member, loans: Iterable[Loan]) -> List[str]:
    """Names of the tools that a member has not brought back yet."""
    return [loan.tool.name for loan in loans_of(member, loans) if loan.is_open]
