import pytest

from chessclock import BLACK, WHITE, ChessClock, ClockError


class Watch:
    def __init__(self):
        self.time = 50

    def __call__(self):
        return self.time


def _clock(seconds, **options):
    watch = Watch()
    return ChessClock(seconds, now=watch, **options), watch


def test_time_after_the_break():
    clock, watch = _clock(300)
    clock.start()
    watch.time += 20
    clock.pause()
    watch.time += 90
    clock.resume()
    assert clock.remaining(WHITE) == 280
    watch.time += 5
    assert clock.remaining(WHITE) == 275


def test_short_turn_before_a_pause_is_charged_once():
    clock, watch = _clock(60)
    clock.start()
    watch.time += 8
    clock.pause()
    clock.resume()
    assert clock.remaining(WHITE) == 52


def test_two_breaks_in_one_turn():
    clock, watch = _clock(100)
    clock.start()
    for _ in range(2):
        watch.time += 10
        clock.pause()
        watch.time += 1000
        clock.resume()
    watch.time += 1
    assert clock.remaining(WHITE) == 79
    assert clock.flag() is None


def test_press_after_a_break_in_blacks_turn():
    clock, watch = _clock(100, increment=3)
    clock.start()
    watch.time += 4
    clock.press()
    watch.time += 6
    clock.pause()
    watch.time += 40
    clock.resume()
    watch.time += 1
    clock.press()
    assert clock.turn == WHITE
    assert clock.remaining(WHITE) == 99
    assert clock.remaining(BLACK) == 96


def test_flag_does_not_fall_over_a_break():
    clock, watch = _clock(30)
    clock.start()
    watch.time += 1
    clock.pause()
    watch.time += 60
    assert clock.flag() is None
    clock.resume()
    assert clock.flag() is None
    watch.time += 29
    assert clock.flag() == WHITE


def test_game_without_a_break():
    clock, watch = _clock(60, increment=1)
    clock.start()
    watch.time += 10
    clock.press()
    watch.time += 20
    clock.press()
    assert (clock.remaining(WHITE), clock.remaining(BLACK)) == (51, 41)


def test_resume_needs_a_pause():
    clock, _ = _clock(60)
    with pytest.raises(ClockError):
        clock.resume()
    clock.start()
    with pytest.raises(ClockError):
        clock.resume()


def test_press_is_refused_in_a_break():
    clock, _ = _clock(60)
    clock.start()
    clock.pause()
    assert not clock.running
    with pytest.raises(ClockError):
        clock.press()
