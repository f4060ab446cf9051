from datetime import date

from toolshed.model import Loan, Member, Tool
from toolshed.statement import statement, total_owed

SAW = Tool("saw", daily_fee=40, value=3000)
LADDER = Tool("ladder", daily_fee=75, value=9000)
IDA = Member("Ida")
END = date(2024, 5, 31)


def test_nothing_owed():
    text = statement(IDA, [], END)
    assert "Nothing is owed" in text


def test_statement_has_a_line_a_tool_and_a_total():
    loans = [
        Loan(IDA, SAW, due=date(2024, 5, 6), returned=date(2024, 5, 9)),
        Loan(IDA, LADDER, due=date(2024, 5, 13), returned=date(2024, 5, 15)),
    ]
    assert statement(IDA, loans, END).splitlines() == [
        "Statement for Ida, 2024-05-31",
        "",
        "saw                         1.20",
        "ladder                      1.50",
        "--------------------------------",
        "Total                       2.70",
    ]
    assert total_owed(IDA, loans, END) == 270


def test_open_loans_are_named():
    loans = [Loan(IDA, LADDER, due=date(2024, 6, 3))]
    assert "Still out: ladder" in statement(IDA, loans, END)
