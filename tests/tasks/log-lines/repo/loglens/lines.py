"""Reading log lines.

A line is a time, a level, a source in brackets, and a message:

    2024-02-11T08:15:02 WARN [disk] 91% full
"""

import re
from typing import Iterable, List, NamedTuple, Optional

_LINE = re.compile(r"(\S+)\s+([A-Z]+)\s+\[([^\]]*)\]\s*(.*)")


class Record(NamedTuple):
    time: str
    level: str
    source: str
    message: str


def parse_line(line: str) -> Optional[Record]:
    """The record in a line, or None where there is none."""
    found = _LINE.fullmatch(line.strip())
    return Record(*found.groups()) if found else None


def parse(lines: Iterable[str]) -> List[Record]:
    """All records, in order; lines that hold none are passed over."""
    records = (parse_line(line) for line in lines)
    return [record for record in records if record is not None]
