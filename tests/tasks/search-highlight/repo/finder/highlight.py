"""Marks the hits of a search in a text."""

import re
from typing import List

OPEN, CLOSE = "[", "]"


def _pattern(terms: List[str]) -> "re.Pattern[str]":
    """Finds any of the terms, the longest one where several begin."""
    ordered = sorted(terms, key=len, reverse=True)
    return re.compile("|".join(ordered), re.IGNORECASE)


def highlight(text: str, terms: List[str]) -> str:
    """The text with brackets around each occurrence of a term, in any case."""
    if not terms:
        return text
    return _pattern(terms).sub(lambda hit: OPEN + hit.group() + CLOSE, text)


def count_hits(text: str, terms: List[str]) -> int:
    """How often the terms occur."""
    return len(_pattern(terms).findall(text)) if terms else 0
