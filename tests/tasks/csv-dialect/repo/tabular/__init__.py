"""Tables as text, in several dialects."""

from tabular.dialect import COMMA, SEMICOLON, TAB, Dialect
from tabular.reader import read, read_records, split_row
from tabular.writer import join_row, write

__all__ = [
    "COMMA",
    "SEMICOLON",
    "TAB",
    "Dialect",
    "join_row",
    "read",
    "read_records",
    "split_row",
    "write",
]
