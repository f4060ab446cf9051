import pytest

from ringbuffer import RingBuffer


def test_oldest_items_give_way():
    buffer = RingBuffer(3)
    buffer.extend("abcde")
    assert list(buffer) == ["c", "d", "e"]
    assert len(buffer) == 3


def test_latest_of_a_full_buffer():
    buffer = RingBuffer(4)
    buffer.extend(range(10))
    assert buffer.latest(2) == [8, 9]
    assert buffer.latest(0) == []


def test_average():
    buffer = RingBuffer(3)
    buffer.extend([1, 2, 3, 7])
    assert buffer.average(2) == 5


def test_capacity_is_checked():
    with pytest.raises(ValueError):
        RingBuffer(0)
