"""Rules."""

from dataclasses import dataclass

ALLOW = "allow"
DENY = "deny"


@dataclass(frozen=True)
class Rule:
    """Allows or denies an action below a path.

    The subject is a user's name, ``@`` and a group's name, or ``*`` for
    everyone. The action may be ``*`` as well.
    """

    effect: str
    subject: str
    action: str
    path: str
