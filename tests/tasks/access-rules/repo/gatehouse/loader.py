"""Reading rules from text.

One rule a line, as effect, subject, action and path; ``#`` begins a comment:

    allow @staff read /docs
    deny  *      *    /docs/salaries   # not even staff
"""

from typing import List

from gatehouse.rules import ALLOW, DENY, Rule


class RuleError(ValueError):
    """A line that is no rule."""


def parse_rule(line: str) -> Rule:
    words = line.split()
    if len(words) != 4:
        raise RuleError(f"a rule has four words: {line.strip()}")
    effect, subject, action, path = words
    if effect not in (ALLOW, DENY):
        raise RuleError(f"neither allow nor deny: {effect}")
    return Rule(effect, subject, action, path)


def load(text: str) -> List[Rule]:
    lines = (line.split("#")[0] for line in text.splitlines())
    return [parse_rule(line) for line in lines if line.strip()]
