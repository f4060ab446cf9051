"""The table of contents of a text."""

from outline.headings import find_headings
from outline.numbering import numbered

INDENT = "  "


def anchor(title: str) -> str:
    """The name under which a heading can be linked to."""
    kept = "".join(char for char in title.lower() if char.isalnum() or char in " -")
    return kept.replace(" ", "-")


def table_of_contents(text: str, deepest: int = 3, links: bool = False) -> str:
    """A line for each heading down to the level ``deepest``."""
    lines = []
    headings = [heading for heading in find_headings(text) if heading.level <= deepest]
    for number, heading in numbered(headings):
        title = heading.title
        if links:
            title = f"[{title}](#{anchor(title)})"
        lines.append(f"{INDENT * (heading.level - 1)}{number} {title}")
    return "\n".join(lines)
