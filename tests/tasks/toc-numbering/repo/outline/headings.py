"""Finds the headings of a Markdown text."""

from typing import List, NamedTuple

DEEPEST = 6
FENCE = "```"


class Heading(NamedTuple):
    level: int
    title: str


def find_headings(text: str) -> List[Heading]:
    """All headings in their order, those within code blocks left out."""
    headings = []
    in_code = False
    for line in text.splitlines():
        if line.startswith(FENCE):
            in_code = not in_code
        if in_code or not line.startswith("#"):
            continue
        marks, _, title = line.partition(" ")
        if set(marks) == {"#"} and len(marks) <= DEEPEST and title.strip():
            headings.append(Heading(len(marks), title.strip().rstrip("#").strip()))
    return headings
