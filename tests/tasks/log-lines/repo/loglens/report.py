"""Counts over the records of a log, by level or by source."""

from itertools import groupby
from operator import attrgetter
from typing import Dict, Iterable, List

from loglens.lines import Record


def _group(records: Iterable[Record], field: str) -> Dict[str, List[Record]]:
    """The records under each value of a field, in the order of the log."""
    key = attrgetter(field)
    return {value: list(group) for value, group in groupby(records, key)}


def count_by(records: Iterable[Record], field: str) -> Dict[str, int]:
    """How many records there are for each value of a field."""
    return {value: len(group) for value, group in _group(records, field).items()}


def last_by(records: Iterable[Record], field: str) -> Dict[str, Record]:
    """The last record for each value of a field."""
    return {value: group[-1] for value, group in _group(records, field).items()}


def report(records: Iterable[Record], field: str = "level") -> str:
    """The counts as text, the largest first, equal ones by name."""
    counts = count_by(records, field)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return "\n".join(f"{count:>5} {value}" for value, count in ranked)
