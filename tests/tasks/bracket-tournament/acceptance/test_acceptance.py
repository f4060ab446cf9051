import pytest

from knockout import Bracket
from knockout.sheet import sheet


def _pending(bracket):
    return [match.players for match in bracket.pending()]


def test_three_entrants():
    bracket = Bracket(["Ana", "Ben", "Cho"])
    assert _pending(bracket) == [("Ben", "Cho")]
    bracket.record("Ben")
    assert _pending(bracket) == [("Ana", "Ben")]
    bracket.record("Ana")
    assert bracket.champion == "Ana"


def test_sheet_with_a_bye():
    bracket = Bracket(["Ana", "Ben", "Cho"])
    bracket.record("Cho")
    assert sheet(bracket) == (
        "Round 1\n  Ana goes through\n  Ben - Cho*\nRound 2\n  Ana - Cho"
    )


def test_five_entrants_have_one_match_at_first():
    bracket = Bracket(["A", "B", "C", "D", "E"])
    assert _pending(bracket) == [("D", "E")]
    bracket.record("E")
    assert _pending(bracket) == [("A", "E"), ("B", "C")]


def test_six_entrants():
    bracket = Bracket(["A", "B", "C", "D", "E", "F"])
    assert _pending(bracket) == [("D", "E"), ("C", "F")]
    for winner in ("D", "F", "A", "B"):
        bracket.record(winner)
    assert _pending(bracket) == [("A", "B")]
    assert len(bracket.rounds) == 3


def test_a_bye_cannot_win():
    bracket = Bracket(["Ana", "Ben", "Cho"])
    with pytest.raises(ValueError):
        bracket.record("bye")


def test_player_with_a_bye_has_no_match_to_win_yet():
    bracket = Bracket(["Ana", "Ben", "Cho"])
    with pytest.raises(ValueError):
        bracket.record("Ana")


def test_eight_entrants_all_play():
    bracket = Bracket(list("ABCDEFGH"))
    assert _pending(bracket) == [("A", "H"), ("D", "E"), ("B", "G"), ("C", "F")]
    for winner in "ADBCABA":
        bracket.record(winner)
    assert bracket.champion == "A"


def test_names_must_differ():
    with pytest.raises(ValueError):
        Bracket(["Ana", "Ana", "Ben"])
