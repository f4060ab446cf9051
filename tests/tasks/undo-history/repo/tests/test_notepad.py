import pytest

from notepad import Notepad, NothingToUndo


def test_edits():
    pad = Notepad("milk and bread")
    pad.delete(0, 9)
    pad.append(", jam")
    pad.insert(0, "rye ")
    assert pad.text == "rye bread, jam"
    assert pad.replace("jam", "butter")
    assert not pad.replace("jam", "honey")
    assert pad.text == "rye bread, butter"


def test_undo_goes_back_step_by_step():
    pad = Notepad()
    pad.append("one")
    pad.append(" two")
    pad.undo()
    assert pad.text == "one"
    pad.undo()
    assert pad.text == ""
    with pytest.raises(NothingToUndo):
        pad.undo()


def test_redo_follows_undo():
    pad = Notepad("one two")
    pad.delete(3, 7)
    pad.undo()
    assert pad.can_redo()
    pad.redo()
    assert pad.text == "one"
    assert not pad.can_redo()


def test_positions_are_checked():
    with pytest.raises(IndexError):
        Notepad("ab").insert(3, "x")
