"""The statement that a member gets at the end of a month."""

from datetime import date
from typing import Iterable, List

from toolshed.fees import format_cents
from toolshed.ledger import fees_by_tool, still_out
from toolshed.model import Loan, Member

WIDTH = 32


def _row(left: str, right: str) -> str:
    return left + right.rjust(WIDTH - len(left))


def total_owed(member: Member, loans: Iterable[Loan], until: date) -> int:
    """Everything that a member owes on the day `until`, in cents."""
    return sum(fees_by_tool(member, loans, until).values())


def statement(member: Member, loans: List[Loan], until: date) -> str:
    """The whole statement as text, a line a tool and the total below."""
    lines = [f"Statement for {member.name}, {until.isoformat()}", ""]
    fees = fees_by_tool(member, loans, until)
    for tool, fee in fees.items():
        lines.append(_row(tool, format_cents(fee)))
    if not fees:
        lines.append("Nothing is owed. Thank you!")
    else:
        lines.append("-" * WIDTH)
        lines.append(_row("Total", format_cents(total_owed(member, loans, until))))
    out = still_out(member, loans)
    if out:
        lines.append("")
        lines.append("Still out: " + ", ".join(out))
    return "\n".join(lines) + "\n"
