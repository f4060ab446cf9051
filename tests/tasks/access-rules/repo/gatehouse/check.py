"""Decisions."""

from typing import Iterable, List

from gatehouse.groups import Groups
from gatehouse.paths import covers, depth, normalise
from gatehouse.rules import DENY, Rule


class Gate:
    """Decides by the rules that lie nearest to a path.

    Of rules at the same depth one that denies wins. Where no rule applies,
    the answer is no.
    """

    def __init__(self, rules: Iterable[Rule], groups: Groups):
        self._rules = list(rules)
        self._groups = groups

    def _applying(self, user: str, action: str, path: str) -> List[Rule]:
        subjects = self._groups.subjects(user)
        where = normalise(path)
        return [
            rule
            for rule in self._rules
            if rule.subject in subjects
            and rule.action in ("*", action)
            and covers(rule.path, where)
        ]

    def allowed(self, user: str, action: str, path: str) -> bool:
        rules = self._applying(user, action, path)
        if not rules:
            return False
        nearest = max(depth(rule.path) for rule in rules)
        return all(rule.effect != DENY for rule in rules if depth(rule.path) == nearest)
