from gatehouse.check import Gate
from gatehouse.groups import Groups
from gatehouse.loader import load

GROUPS = Groups({"staff": ["ann", "@clerks"], "clerks": ["cy"]})
RULES = load(
    """
    allow @staff read /docs
    deny  *      *    /docs/salaries   # not even staff
    allow ann    *    /docs/salaries/ann
    """
)


def test_group_and_group_in_a_group():
    gate = Gate(RULES, GROUPS)
    assert gate.allowed("ann", "read", "/docs/plan")
    assert gate.allowed("cy", "read", "docs/plan/")
    assert not gate.allowed("eve", "read", "/docs/plan")


def test_nearest_rule_wins():
    gate = Gate(RULES, GROUPS)
    assert not gate.allowed("ann", "read", "/docs/salaries/cy")
    assert gate.allowed("ann", "write", "/docs/salaries/ann")


def test_path_that_only_begins_alike():
    assert not Gate(RULES, GROUPS).allowed("ann", "read", "/docs-old")


def test_rule_for_the_root():
    gate = Gate(load("allow ann read /"), Groups({}))
    assert gate.allowed("ann", "read", "/any/thing")
