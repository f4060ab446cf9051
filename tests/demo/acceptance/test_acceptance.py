"""Judges the demo's patch. The agent never sees this file."""

from datetime import date

from toolshed.ledger import fees_by_tool
from toolshed.model import Loan, Member, Tool
from toolshed.statement import statement, total_owed

SANDER = Tool("sander", daily_fee=100, value=12000)
DRILL = Tool("drill", daily_fee=60, value=8000)
CHEAP = Tool("clamp", daily_fee=50, value=120)
JON = Member("Jon")
END = date(2024, 5, 31)

FIRST = Loan(JON, SANDER, due=date(2024, 5, 6), returned=date(2024, 5, 9))
SECOND = Loan(JON, SANDER, due=date(2024, 5, 20), returned=date(2024, 5, 22))
OTHER = Loan(JON, DRILL, due=date(2024, 5, 13), returned=date(2024, 5, 16))


def test_the_issues_example():
    assert statement(JON, [FIRST, SECOND], END).splitlines()[2:] == [
        "sander                      5.00",
        "--------------------------------",
        "Total                       5.00",
    ]


def test_order_of_the_book_does_not_matter():
    assert total_owed(JON, [SECOND, FIRST], END) == 500


def test_three_times_late_with_another_tool_between():
    third = Loan(JON, SANDER, due=date(2024, 5, 27), returned=date(2024, 5, 29))
    fees = fees_by_tool(JON, [FIRST, OTHER, SECOND, third], END)
    assert fees == {"sander": 700, "drill": 180}
    assert list(fees) == ["sander", "drill"]


def test_a_loan_in_time_changes_nothing():
    in_time = Loan(JON, SANDER, due=date(2024, 5, 25), returned=date(2024, 5, 25))
    assert fees_by_tool(JON, [FIRST, in_time], END) == {"sander": 300}


def test_each_loan_is_capped_by_itself():
    one = Loan(JON, CHEAP, due=date(2024, 5, 1), returned=date(2024, 5, 10))
    two = Loan(JON, CHEAP, due=date(2024, 5, 13), returned=date(2024, 5, 24))
    assert fees_by_tool(JON, [one, two], END) == {"clamp": 240}


def test_supporters_pay_half_of_both():
    ann = Member("Ann", supporter=True)
    loans = [Loan(ann, SANDER, due=l.due, returned=l.returned) for l in (FIRST, SECOND)]
    assert total_owed(ann, loans, END) == 250


def test_a_fee_does_not_leak_to_another_member():
    ann = Member("Ann")
    hers = Loan(ann, SANDER, due=date(2024, 5, 6), returned=date(2024, 5, 9))
    assert fees_by_tool(ann, [FIRST, hers, SECOND], END) == {"sander": 300}
