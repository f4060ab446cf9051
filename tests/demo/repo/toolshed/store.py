"""Reads the loan book: one loan a line, fields set apart by semicolons.

    member ; tool ; due ; returned (empty while it is out)
"""

from datetime import date
from typing import Dict, Iterable, List

from toolshed.model import Loan, Member, Tool


class BookError(ValueError):
    """A line of the loan book that cannot be read."""


def read_book(
    lines: Iterable[str], members: Dict[str, Member], tools: Dict[str, Tool]
) -> List[Loan]:
    """All loans of a book. Empty lines and lines that start with # are skipped."""
    loans = []
    for number, line in enumerate(lines, start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        fields = [field.strip() for field in line.split(";")]
        if len(fields) != 4:
            raise BookError(f"line {number}: expected 4 fields, found {len(fields)}")
        who, what, due, returned = fields
        if who not in members:
            raise BookError(f"line {number}: no member is called {who!r}")
        if what not in tools:
            raise BookError(f"line {number}: no tool is called {what!r}")
        loans.append(
            Loan(
                member=members[who],
                tool=tools[what],
                due=date.fromisoformat(due),
                returned=date.fromisoformat(returned) if returned else None,
            )
        )
    return loans
