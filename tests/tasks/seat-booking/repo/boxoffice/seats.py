"""Seats, such as ``C7``: the row's letter and the number in the row."""

from typing import NamedTuple


class Seat(NamedTuple):
    row: str
    number: int

    def __str__(self) -> str:
        return f"{self.row}{self.number}"


def parse_seat(label: str) -> Seat:
    text = label.strip().upper()
    if not text[:1].isalpha() or not text[1:].isdigit():
        raise ValueError(f"not a seat: {label!r}")
    return Seat(text[0], int(text[1:]))
