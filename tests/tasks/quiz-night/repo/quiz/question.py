"""Questions and whether an answer is right."""

from dataclasses import dataclass
from typing import Tuple


def _plain(answer: str) -> str:
    return " ".join(answer.lower().split())


@dataclass(frozen=True)
class Question:
    text: str
    # Every spelling that counts as right.
    answers: Tuple[str, ...]
    points: int = 1

    def is_right(self, answer: str) -> bool:
        """Case and blanks do not matter."""
        return _plain(answer) in {_plain(right) for right in self.answers}
