from quiz import Night, Question
from quiz.round import Round
from quiz.sheet import wall_sheet

ROUND = Round("Sums", [Question("2 + 2?", ("4", "four")), Question("3 * 3?", ("9",), 2)])


def test_an_evening():
    night = Night()
    assert night.play(ROUND, {"Owls": ["four", "9"], "Bats": ["4", "6"]}) == {"Owls": 3, "Bats": 1}
    night.play(ROUND, {"Owls": ["5", "6"], "Bats": ["4"]})
    assert night.board.of("Owls") == 3
    assert night.board.of("Bats") == 2
    assert night.winners() == ["Owls"]


def test_a_head_start_is_on_the_sheet():
    night = Night({"Foxes": 12, "Hares": 3, "Moles": 12})
    night.play(ROUND, {"Hares": ["4"]})
    assert wall_sheet(night).splitlines() == [
        "After 1 rounds",
        "1. Foxes              12",
        "1. Moles              12",
        "3. Hares               4",
    ]
