import pytest

from quiz.question import Question
from quiz.round import Round

SEA = Question("The largest ocean?", ("Pacific", "Pacific Ocean"))
YEAR = Question("When was the first moon landing?", ("1969",), points=2)


def test_spellings():
    assert SEA.is_right(" pacific  ocean")
    assert not SEA.is_right("Atlantic")


def test_marks():
    round_ = Round("World", [SEA, YEAR])
    assert round_.mark(["pacific", "1969"]) == 3
    assert round_.mark(["Indian", "1969"]) == 2
    assert round_.mark([]) == 0


def test_too_many_answers():
    with pytest.raises(ValueError):
        Round("World", [SEA]).mark(["Pacific", "1969"])
