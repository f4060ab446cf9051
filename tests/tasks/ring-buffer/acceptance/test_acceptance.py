import pytest

from ringbuffer import RingBuffer


def filled(capacity, items):
    buffer = RingBuffer(capacity)
    buffer.extend(items)
    return buffer


def test_the_issues_example():
    assert filled(5, [20.5, 21.0]).latest(3) == [20.5, 21.0]


def test_more_than_the_capacity_of_a_buffer_half_full():
    assert filled(4, ["a", "b"]).latest(9) == ["a", "b"]


def test_an_empty_buffer_has_no_latest_items():
    assert RingBuffer(3).latest(2) == []


def test_nothing_from_before_a_clear():
    buffer = filled(3, [1, 2, 3, 4])
    buffer.clear()
    buffer.push(9)
    assert buffer.latest(3) == [9]


def test_average_of_what_is_there():
    assert filled(5, [20, 22]).average(4) == 21


def test_average_of_an_empty_buffer_is_refused():
    with pytest.raises(ValueError):
        RingBuffer(3).average(2)


def test_a_none_that_was_pushed_is_kept():
    assert filled(4, [None, 1]).latest(2) == [None, 1]


def test_a_full_buffer_hands_out_all_of_it():
    assert filled(3, range(8)).latest(3) == [5, 6, 7]
    assert filled(3, range(8)).latest(30) == [5, 6, 7]


def test_a_negative_count_is_refused():
    with pytest.raises(ValueError):
        filled(3, [1]).latest(-1)
