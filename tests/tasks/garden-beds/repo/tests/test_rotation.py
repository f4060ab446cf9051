from beds import Plan, tired_beds


def plan(year, **beds):
    made = Plan(year)
    for name, crop in beds.items():
        made.add_bed(name, 1).sow(1, crop)
    return made


def test_a_family_that_follows_itself():
    old = plan(2024, south="bean", north="leek", west="kale")
    new = plan(2025, south="pea", north="tomato", east="kale")
    assert tired_beds(old, new) == {"south": ["legume"]}
