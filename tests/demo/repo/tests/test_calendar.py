from datetime import date

from toolshed.calendar import days_late, is_open_day
from toolshed.model import Loan, Member, Tool

SAW = Tool("saw", daily_fee=40, value=3000)
IDA = Member("Ida")


def test_sunday_is_closed():
    assert is_open_day(date(2024, 5, 4))
    assert not is_open_day(date(2024, 5, 5))


def test_back_on_the_due_date_is_in_time():
    loan = Loan(IDA, SAW, due=date(2024, 5, 3), returned=date(2024, 5, 3))
    assert days_late(loan, date(2024, 5, 31)) == 0


def test_sunday_does_not_count():
    loan = Loan(IDA, SAW, due=date(2024, 5, 3), returned=date(2024, 5, 6))
    assert days_late(loan, date(2024, 5, 31)) == 2


def test_open_loan_counts_up_to_the_day_asked_for():
    loan = Loan(IDA, SAW, due=date(2024, 5, 6))
    assert days_late(loan, date(2024, 5, 9)) == 3
