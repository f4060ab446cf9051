import random

import pytest

from dice import NotationError, Term, parse


def test_terms_are_read():
    assert parse("2d6 + 3").terms == (Term(1, 2, 6), Term(1, 3, 1))
    assert parse("D20-1").terms == (Term(1, 1, 20), Term(-1, 1, 1))


def test_bounds():
    dice = parse("2d6+3")
    assert dice.lowest() == 5
    assert dice.highest() == 15
    assert dice.average() == 10


def test_a_number_is_taken_away():
    assert parse("d8-2").lowest() == -1
    assert parse("d8-2").highest() == 6


def test_rolls_stay_within_the_bounds():
    rng = random.Random(7)
    rolls = [parse("3d4+1").roll(rng) for _ in range(200)]
    assert min(rolls) >= 4
    assert max(rolls) <= 13


@pytest.mark.parametrize("text", ["", "2d", "d6 d6", "2x6", "d0"])
def test_nonsense_is_refused(text):
    with pytest.raises(NotationError):
        parse(text)
