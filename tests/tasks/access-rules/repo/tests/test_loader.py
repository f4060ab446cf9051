import pytest

from gatehouse.loader import RuleError, load
from gatehouse.rules import Rule


def test_load():
    text = "# none\n\nallow bo write /notes\n"
    assert load(text) == [Rule("allow", "bo", "write", "/notes")]


@pytest.mark.parametrize("line", ["allow bo write", "permit bo write /notes"])
def test_lines_that_are_no_rules(line):
    with pytest.raises(RuleError):
        load(line)
