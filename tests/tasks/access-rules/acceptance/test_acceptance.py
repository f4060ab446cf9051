import pytest

from gatehouse.check import Gate
from gatehouse.groups import Groups
from gatehouse.loader import RuleError, load


def _gate(*lines):
    return Gate(load("\n".join(lines)), Groups({"staff": ["ann", "bo"]}))


@pytest.mark.parametrize("path", ["/plans/", "plans", "plans/", "//plans"])
def test_allow_in_any_spelling(path):
    gate = _gate(f"allow @staff read {path}")
    assert gate.allowed("ann", "read", "/plans")
    assert gate.allowed("ann", "read", "/plans/2024/may")
    assert not gate.allowed("ann", "read", "/plans-b")


def test_deny_below_an_allow():
    gate = _gate("allow @staff * /docs/", "deny @staff * docs//salaries/")
    assert gate.allowed("bo", "read", "/docs/menu")
    assert not gate.allowed("bo", "read", "/docs/salaries")
    assert not gate.allowed("bo", "read", "/docs/salaries/ann")


def test_deny_wins_at_the_same_depth():
    gate = _gate("allow ann read /docs", "deny ann read /docs/")
    assert not gate.allowed("ann", "read", "/docs/a")


def test_nearer_allow_with_a_slash():
    gate = _gate("deny * * /docs", "allow bo read /docs/open/")
    assert gate.allowed("bo", "read", "/docs/open/menu")
    assert not gate.allowed("bo", "read", "/docs/menu")


def test_root_in_any_spelling():
    assert _gate("allow ann read //").allowed("ann", "read", "/a/b")


def test_tidy_rules_work_as_before():
    gate = _gate("allow @staff read /docs", "deny bo read /docs/hr")
    assert gate.allowed("ann", "read", "/docs/hr/x")
    assert not gate.allowed("bo", "read", "/docs/hr/x")
    assert not gate.allowed("bo", "write", "/docs")


def test_nobody_is_let_in_without_a_rule():
    assert not _gate("allow ann read /docs").allowed("eve", "read", "/docs")


def test_bad_lines_are_still_refused():
    with pytest.raises(RuleError):
        load("allow ann /docs/")
