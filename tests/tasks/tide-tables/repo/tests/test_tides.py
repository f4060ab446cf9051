from datetime import datetime

import pytest

from tides import HIGH, LOW, Tide, parse_line, parse_table

TABLE = """
2024-03-05 04:00 high 5.0
2024-03-05 10:00 low 1.0

2024-03-05 16:30 high 5.4
"""


def test_parse_line():
    expected = Tide(datetime(2024, 3, 5, 4, 12), 5.3, HIGH)
    assert parse_line("2024-03-05 04:12 high 5.3") == expected


def test_parse_line_refuses_other_kinds():
    with pytest.raises(ValueError):
        parse_line("2024-03-05 04:12 slack 5.3")


def test_next_tide():
    table = parse_table(TABLE)
    now = datetime(2024, 3, 5, 4, 30)
    assert table.next_tide(now).kind == LOW
    assert table.next_tide(now, HIGH).height == 5.4
    assert table.next_tide(datetime(2024, 3, 6)) is None


def test_hours_until():
    table = parse_table(TABLE)
    assert table.hours_until(table.tides[1], datetime(2024, 3, 5, 8, 30)) == 1.5


def test_height_halfway():
    table = parse_table(TABLE)
    assert table.height_at(datetime(2024, 3, 5, 7)) == pytest.approx(3.0)


def test_longest_gap():
    assert parse_table(TABLE).longest_gap() == 6.5
