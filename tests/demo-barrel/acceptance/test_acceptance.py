"""Judges the patch. The agent never sees this file."""

from rainbarrel.barrel import Barrel, levels
from rainbarrel.garden import Bed, Roof
from rainbarrel.plan import make_plan
from rainbarrel.report import report
from rainbarrel.weather import Day


def test_the_issues_example():
    assert levels(Barrel(100, 90), [40], [30]) == [70]


def test_the_surplus_is_gone_for_the_days_after_too():
    assert levels(Barrel(100, 90), [40, 0, 0], [30, 30, 30]) == [70, 40, 10]


def test_exactly_full_loses_nothing():
    assert levels(Barrel(100, 60), [40], [30]) == [70]


def test_more_taken_than_a_full_barrel_holds():
    assert levels(Barrel(50, 50), [40], [60]) == [0]


def test_rain_that_fits_is_as_before():
    assert levels(Barrel(100, 40), [20, 0], [10, 60]) == [50, 0]


def test_no_rain_and_no_use():
    assert levels(Barrel(100, 40), [0], [0]) == [40]


def test_plan_and_report_show_the_real_level():
    barrel = Barrel(100, 95)
    plan = make_plan(barrel, Roof(10), [Bed("beans", 20)], [Day(4, 20), Day(0, 30)])
    assert plan.levels == [80, 50]
    assert "50 l" in report(barrel, plan)
