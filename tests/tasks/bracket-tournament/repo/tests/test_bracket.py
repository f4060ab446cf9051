import pytest

from knockout import Bracket
from knockout.match import Match
from knockout.seeding import first_round, seed_order
from knockout.sheet import line, sheet


def test_seed_order():
    assert seed_order(2) == [1, 2]
    assert seed_order(8) == [1, 8, 4, 5, 2, 7, 3, 6]


def test_first_round_of_four():
    assert first_round(["Ana", "Ben", "Cho", "Dov"]) == ["Ana", "Dov", "Ben", "Cho"]


def test_whole_tournament():
    bracket = Bracket(["Ana", "Ben", "Cho", "Dov"])
    bracket.record("Dov")
    assert bracket.champion is None
    bracket.record("Ben")
    assert bracket.pending() == [Match("Dov", "Ben")]
    bracket.record("Ben")
    assert bracket.champion == "Ben"


def test_winner_without_a_match():
    bracket = Bracket(["Ana", "Ben"])
    with pytest.raises(ValueError):
        bracket.record("Cho")


def test_sheet():
    bracket = Bracket(["Ana", "Ben"])
    bracket.record("Ana")
    assert sheet(bracket) == "Round 1\n  Ana* - Ben"


def test_line_of_a_bye():
    assert line(Match("Ana", None, winner="Ana")) == "Ana goes through"
