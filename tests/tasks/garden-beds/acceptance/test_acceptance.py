from beds import Plan, tired_beds
from beds.listing import listing


def made():
    plan = Plan(2024)
    plan.add_bed("south", 2).sow(1, "bean")
    plan.add_bed("north", 1).sow(1, "leek")
    plan.remarks.append("dry spring")
    return plan


def test_the_issues_example():
    plan = made()
    later = plan.next_year()
    later.bed("south").sow(1, "kale")
    assert plan.bed("south").rows == ["bean", None]
    assert later.bed("south").rows == ["kale", None]


def test_a_bed_of_the_new_year_is_not_in_the_old_one():
    plan = made()
    plan.next_year().add_bed("west", 3)
    assert plan.names() == ["north", "south"]


def test_what_happens_to_the_old_plan_stays_there():
    plan = made()
    later = plan.next_year()
    plan.bed("north").clear(1)
    plan.add_bed("east", 1)
    assert listing(later) == "2025\n  north: leek\n  south: bean, -"


def test_rotation_after_a_change():
    plan = made()
    later = plan.next_year()
    later.bed("south").sow(1, "tomato")
    assert tired_beds(plan, later) == {"north": ["onion"]}


def test_three_years_are_three_plans():
    first = made()
    second = first.next_year()
    second.bed("north").sow(1, "pea")
    third = second.next_year()
    third.bed("north").sow(1, "radish")
    crops = [plan.bed("north").rows for plan in (first, second, third)]
    assert crops == [["leek"], ["pea"], ["radish"]]


def test_the_copy_has_the_same_crops():
    assert listing(made().next_year()) == "2025\n  north: leek\n  south: bean, -"


def test_years_and_remarks_are_kept_apart():
    plan = made()
    later = plan.next_year()
    later.remarks.append("wet")
    assert (plan.year, plan.remarks) == (2024, ["dry spring"])
    assert (later.year, later.remarks) == (2025, ["wet"])


def test_without_a_change_all_beds_are_tired():
    plan = made()
    assert tired_beds(plan, plan.next_year()) == {"north": ["onion"], "south": ["legume"]}
