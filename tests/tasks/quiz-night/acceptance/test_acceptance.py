from quiz import Night, Question
from quiz.round import Round
from quiz.scoreboard import Scoreboard
from quiz.sheet import wall_sheet

ROUND = Round("Sums", [Question("2 + 2?", ("4",)), Question("3 * 3?", ("9",), 2)])


def test_a_new_evening_begins_with_an_empty_board():
    Night().play(ROUND, {"Owls": ["4", "9"]})
    tonight = Night()
    assert tonight.board.ranking() == []
    assert tonight.winners() == []


def test_evenings_side_by_side():
    left, right = Night(), Night()
    left.play(ROUND, {"Larks": ["4", "9"]})
    right.play(ROUND, {"Larks": ["4", "8"], "Wrens": ["4"]})
    assert left.board.ranking() == [("Larks", 3)]
    assert right.board.ranking() == [("Larks", 1), ("Wrens", 1)]


def test_the_sheet_on_the_wall_shows_one_evening():
    Night().play(ROUND, {"Toads": ["4", "9"]})
    night = Night()
    night.play(ROUND, {"Newts": ["5", "9"]})
    assert wall_sheet(night).splitlines() == ["After 1 rounds", "1. Newts               2"]


def test_boards_by_themselves():
    one, two = Scoreboard(), Scoreboard()
    one.add("Seals", 5)
    two.add("Seals", -1)
    assert one.of("Seals") == 5
    assert two.of("Seals") == -1


def test_a_head_start_counts_for_one_evening():
    start = {"Foxes": 4}
    Night(start).play(ROUND, {"Foxes": ["4", "9"]})
    assert start == {"Foxes": 4}
    assert Night(start).board.ranking() == [("Foxes", 4)]


def test_points_to_begin_with():
    board = Scoreboard({"Crabs": 2})
    board.add("Crabs", 3)
    assert board.ranking() == [("Crabs", 5)]


def test_points_add_up_within_an_evening():
    night = Night()
    night.play(ROUND, {"Storks": ["4"]})
    night.play(ROUND, {"Storks": ["4", "9"]})
    assert night.board.of("Storks") == 4
    assert night.played == ["Sums", "Sums"]
