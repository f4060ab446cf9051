from datetime import date

from toolshed.ledger import fees_by_tool, loans_of, still_out
from toolshed.model import Loan, Member, Tool

SAW = Tool("saw", daily_fee=40, value=3000)
LADDER = Tool("ladder", daily_fee=75, value=9000)
IDA = Member("Ida")
JON = Member("Jon")
END = date(2024, 5, 31)


def test_loans_of_a_member_by_due_date():
    late = Loan(IDA, SAW, due=date(2024, 5, 20))
    early = Loan(IDA, LADDER, due=date(2024, 5, 2))
    other = Loan(JON, SAW, due=date(2024, 5, 1))
    assert loans_of(IDA, [late, other, early]) == [early, late]


def test_fees_of_two_tools():
    loans = [
        Loan(IDA, SAW, due=date(2024, 5, 6), returned=date(2024, 5, 9)),
        Loan(IDA, LADDER, due=date(2024, 5, 13), returned=date(2024, 5, 15)),
    ]
    assert fees_by_tool(IDA, loans, END) == {"saw": 120, "ladder": 150}


def test_tools_in_time_are_left_out():
    loans = [Loan(IDA, SAW, due=date(2024, 5, 6), returned=date(2024, 5, 6))]
    assert fees_by_tool(IDA, loans, END) == {}


def test_still_out():
    loans = [
        Loan(IDA, SAW, due=date(2024, 5, 6), returned=date(2024, 5, 6)),
        Loan(IDA, LADDER, due=date(2024, 5, 30)),
    ]
    assert still_out(IDA, loans) == ["ladder"]
