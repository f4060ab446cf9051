import pytest

from notepad import Notepad, NothingToUndo


def written(*parts):
    pad = Notepad()
    for part in parts:
        pad.append(part)
    return pad


def test_the_issues_example():
    pad = written("tea")
    pad.undo()
    pad.append("coffee")
    assert not pad.can_redo()
    with pytest.raises(NothingToUndo):
        pad.redo()
    assert pad.text == "coffee"


def test_deleting_is_an_edit_too():
    pad = written("one", " two")
    pad.undo()
    pad.delete(0, 1)
    assert not pad.can_redo()
    assert pad.text == "ne"


def test_replacing_is_an_edit_too():
    pad = written("one", " two")
    pad.undo()
    pad.replace("one", "three")
    assert not pad.can_redo()


def test_inserting_gives_up_all_that_was_undone():
    pad = written("a", "b", "c")
    pad.undo()
    pad.undo()
    pad.insert(0, "x")
    with pytest.raises(NothingToUndo):
        pad.redo()
    assert pad.text == "xa"


def test_the_new_edit_can_be_undone_and_made_again():
    pad = written("tea")
    pad.undo()
    pad.append("coffee")
    pad.undo()
    assert pad.text == ""
    pad.redo()
    assert pad.text == "coffee"
    assert not pad.can_redo()


def test_undo_and_redo_back_and_forth():
    pad = written("a", "b", "c")
    for _ in range(3):
        pad.undo()
    for _ in range(3):
        pad.redo()
    assert pad.text == "abc"
    assert not pad.can_redo()


def test_a_redo_leaves_the_others_to_be_made_again():
    pad = written("a", "b", "c")
    pad.undo()
    pad.undo()
    pad.redo()
    assert pad.can_redo()
    pad.redo()
    assert pad.text == "abc"


def test_an_edit_that_did_not_happen_gives_up_nothing():
    pad = written("a", "b")
    pad.undo()
    assert not pad.replace("zebra", "x")
    with pytest.raises(IndexError):
        pad.insert(40, "x")
    pad.redo()
    assert pad.text == "ab"
