from rainbarrel.barrel import Barrel
from rainbarrel.garden import Bed, Roof
from rainbarrel.plan import make_plan
from rainbarrel.report import report
from rainbarrel.weather import Day

BEDS = [Bed("beans", 10)]
ROOF = Roof(10)


def test_runs_dry():
    plan = make_plan(Barrel(100, 20), ROOF, BEDS, [Day(0, 20)] * 3)
    assert plan.levels == [10, 0, 0]
    assert plan.dry_on == 1


def test_report_of_a_dry_week():
    barrel = Barrel(100, 20)
    text = report(barrel, make_plan(barrel, ROOF, BEDS, [Day(0, 20)] * 2))
    assert text.splitlines() == [
        "day 1  ##.................. 10 l",
        "day 2  .................... 0 l",
        "Empty at the end of day 2.",
    ]


def test_report_says_when_it_lasts():
    barrel = Barrel(100, 90)
    assert "lasts" in report(barrel, make_plan(barrel, ROOF, BEDS, [Day(0, 20)]))
