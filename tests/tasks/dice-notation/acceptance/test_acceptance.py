import random

from dice import Term, parse


def test_the_issues_example():
    sword = parse("d6 - d4")
    assert sword.highest() == 5
    assert sword.lowest() == -3


def test_several_dice_taken_away():
    dice = parse("20 - 3d6")
    assert dice.lowest() == 2
    assert dice.highest() == 17


def test_only_dice_that_are_taken_away():
    dice = parse("-2d8")
    assert dice.lowest() == -16
    assert dice.highest() == -2


def test_bounds_of_one_term():
    assert (Term(-1, 2, 10).lowest, Term(-1, 2, 10).highest) == (-20, -2)
    assert (Term(1, 2, 10).lowest, Term(1, 2, 10).highest) == (2, 20)


def test_targets_within_reach():
    dice = parse("2d6 - d4 - d6")
    assert dice.can_reach(10)
    assert not dice.can_reach(11)
    assert dice.always_reaches(-8)
    assert not dice.always_reaches(-7)


def test_rolls_stay_within_the_bounds():
    rng = random.Random(3)
    dice = parse("d4 - d12 + 1")
    for _ in range(300):
        assert dice.lowest() <= dice.roll(rng) <= dice.highest()


def test_average_stays():
    assert parse("d6 - d4").average() == 1
    assert parse("4d6").average() == 14


def test_plain_numbers_taken_away():
    assert parse("2d6 - 5").lowest() == -3
    assert parse("2d6 - 5").highest() == 7


def test_dice_that_are_added():
    assert parse("3d8 + d4 + 2").lowest() == 6
    assert parse("3d8 + d4 + 2").highest() == 30
