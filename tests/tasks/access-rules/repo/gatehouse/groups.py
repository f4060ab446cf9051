"""Groups of users; a group may hold other groups."""

from typing import Dict, Iterable, Set


class Groups:
    def __init__(self, members: Dict[str, Iterable[str]]):
        self._members = {group: set(names) for group, names in members.items()}

    def subjects(self, user: str) -> Set[str]:
        """All subjects of rules that mean this user."""
        found = {user, "*"}
        waiting = [user]
        while waiting:
            name = waiting.pop()
            for group, members in self._members.items():
                subject = "@" + group
                if name in members and subject not in found:
                    found.add(subject)
                    waiting.append(subject)
        return found
