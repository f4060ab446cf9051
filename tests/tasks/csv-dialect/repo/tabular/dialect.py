"""Dialects: which characters hold a row together."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Dialect:
    delimiter: str = ","
    quote: str = '"'

    def __post_init__(self):
        if len(self.delimiter) != 1 or len(self.quote) != 1:
            raise ValueError("delimiter and quote are one character each")
        if self.delimiter == self.quote:
            raise ValueError("delimiter and quote must differ")


COMMA = Dialect()
SEMICOLON = Dialect(delimiter=";")
TAB = Dialect(delimiter="\t")
