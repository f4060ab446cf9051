from toolshed.fees import format_cents, late_fee
from toolshed.model import Member, Tool

SAW = Tool("saw", daily_fee=40, value=3000)


def test_one_day_is_forgiven():
    assert late_fee(SAW, Member("Ida"), 1) == 0


def test_after_the_grace_period_every_day_counts():
    assert late_fee(SAW, Member("Ida"), 3) == 120


def test_supporters_pay_half():
    assert late_fee(SAW, Member("Jon", supporter=True), 3) == 60


def test_never_more_than_the_tool_is_worth():
    assert late_fee(SAW, Member("Ida"), 500) == 3000


def test_format_cents():
    assert format_cents(1205) == "12.05"
    assert format_cents(5) == "0.05"
