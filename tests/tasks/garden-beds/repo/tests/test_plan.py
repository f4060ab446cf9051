import pytest

from beds import Plan
from beds.crops import UnknownCrop
from beds.listing import listing


def test_listing():
    plan = Plan(2024)
    plan.add_bed("south", 3).sow(2, "bean")
    plan.add_bed("north", 1).sow(1, "leek")
    plan.remarks.append("dry spring")
    assert listing(plan).splitlines() == [
        "2024",
        "  north: leek",
        "  south: -, bean, -",
        "  (dry spring)",
    ]


def test_the_next_year_has_the_same_crops():
    plan = Plan(2024)
    plan.add_bed("south", 2).sow(1, "bean")
    plan.remarks.append("dry spring")
    assert listing(plan.next_year()) == "2025\n  south: bean, -"
    assert plan.remarks == ["dry spring"]


def test_mistakes_are_refused():
    plan = Plan(2024)
    bed = plan.add_bed("south", 2)
    with pytest.raises(ValueError):
        plan.add_bed("south", 3)
    with pytest.raises(IndexError):
        bed.sow(0, "bean")
    with pytest.raises(UnknownCrop):
        bed.sow(1, "bamboo")
