from datetime import datetime

import pytest

from tides import TideTable, parse_line, parse_table


def _tide(text):
    return parse_line(text)


def test_tide_that_is_over():
    table = parse_table("2024-06-01 12:00 low 0.4")
    assert table.hours_until(table.tides[0], datetime(2024, 6, 1, 14, 15)) == -2.25


def test_tide_that_was_days_ago():
    table = parse_table("2024-06-01 12:00 low 0.4")
    assert table.hours_until(table.tides[0], datetime(2024, 6, 4, 12)) == -72


def test_tide_in_two_days():
    table = parse_table("2024-06-03 15:00 high 6.1")
    assert table.hours_until(table.tides[0], datetime(2024, 6, 1, 12)) == 51


def test_tide_in_exactly_one_day():
    table = parse_table("2024-06-02 12:00 high 6.1")
    assert table.hours_until(table.tides[0], datetime(2024, 6, 1, 12)) == 24


def test_gap_of_more_than_a_day():
    table = TideTable(
        [
            _tide("2024-06-01 00:00 high 5.0"),
            _tide("2024-06-01 06:00 low 1.0"),
            _tide("2024-06-02 10:00 high 5.0"),
        ]
    )
    assert table.longest_gap() == 28


def test_height_across_a_day_without_entries():
    table = parse_table("2024-06-01 00:00 high 5.0\n2024-06-03 00:00 low 1.0")
    assert table.height_at(datetime(2024, 6, 2)) == pytest.approx(3.0)


def test_tide_of_the_same_day():
    table = parse_table("2024-06-01 12:00 low 0.4")
    assert table.hours_until(table.tides[0], datetime(2024, 6, 1, 9, 30)) == 2.5


def test_tide_now():
    table = parse_table("2024-06-01 12:00 low 0.4")
    assert table.hours_until(table.tides[0], datetime(2024, 6, 1, 12)) == 0


def test_gap_of_a_short_table():
    assert parse_table("2024-06-01 12:00 low 0.4").longest_gap() == 0
