"""Reads what somebody typed into the search box."""

import re
from typing import List

_PART = re.compile(r'"([^"]+)"|(\S+)')


def terms_of(query: str) -> List[str]:
    """The terms of a query: words, and phrases in double quotes."""
    return [(phrase or word).lower() for phrase, word in _PART.findall(query)]
