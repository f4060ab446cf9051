import pytest

from chessclock import BLACK, WHITE, ChessClock, ClockError


class Watch:
    """A time that moves only when told to."""

    def __init__(self):
        self.time = 1000

    def __call__(self):
        return self.time


@pytest.fixture
def watch():
    return Watch()


def test_only_the_player_to_move_loses_time(watch):
    clock = ChessClock(300, now=watch)
    clock.start()
    watch.time += 10
    assert clock.remaining(WHITE) == 290
    assert clock.remaining(BLACK) == 300


def test_press_changes_the_turn_and_adds_the_increment(watch):
    clock = ChessClock(300, increment=2, now=watch)
    clock.start()
    watch.time += 10
    clock.press()
    watch.time += 5
    assert clock.turn == BLACK
    assert clock.remaining(WHITE) == 292
    assert clock.remaining(BLACK) == 295


def test_no_time_passes_in_a_pause(watch):
    clock = ChessClock(300, now=watch)
    clock.start()
    watch.time += 10
    clock.pause()
    watch.time += 500
    assert clock.remaining(WHITE) == 290


def test_time_runs_on_after_a_pause(watch):
    clock = ChessClock(300, now=watch)
    clock.start()
    clock.pause()
    clock.resume()
    watch.time += 7
    assert clock.remaining(WHITE) == 293


def test_flag(watch):
    clock = ChessClock(30, now=watch)
    clock.start()
    assert clock.flag() is None
    watch.time += 31
    assert clock.flag() == WHITE


def test_pause_needs_a_running_clock(watch):
    with pytest.raises(ClockError):
        ChessClock(300, now=watch).pause()
