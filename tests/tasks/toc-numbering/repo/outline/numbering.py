"""Numbers for headings."""

from typing import Iterable, List, Tuple

from outline.headings import Heading


def numbered(headings: Iterable[Heading]) -> List[Tuple[str, Heading]]:
    """Each heading with its number, such as ``2.1``."""
    # How many headings there have been on each level, the outermost first.
    counts: List[int] = []
    result = []
    for heading in headings:
        while len(counts) < heading.level:
            counts.append(0)
        counts[heading.level - 1] += 1
        number = ".".join(str(count) for count in counts[: heading.level])
        result.append((number, heading))
    return result
