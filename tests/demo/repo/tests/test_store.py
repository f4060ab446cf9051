from datetime import date

import pytest

from toolshed.model import Member, Tool
from toolshed.store import BookError, read_book

MEMBERS = {"Ida": Member("Ida")}
TOOLS = {"saw": Tool("saw", daily_fee=40, value=3000)}


def test_reads_loans_and_skips_comments():
    book = ["# May", "", "Ida ; saw ; 2024-05-06 ; 2024-05-09", "Ida;saw;2024-05-20;"]
    first, second = read_book(book, MEMBERS, TOOLS)
    assert first.returned == date(2024, 5, 9)
    assert second.is_open


def test_unknown_member_is_named_with_its_line():
    with pytest.raises(BookError, match="line 1: no member is called 'Max'"):
        read_book(["Max;saw;2024-05-06;"], MEMBERS, TOOLS)
