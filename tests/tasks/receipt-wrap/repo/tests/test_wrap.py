import pytest

from till.wrap import wrap


def test_lines_are_broken_between_words():
    assert wrap("two pounds of small apples", 10) == ["two pounds", "of small", "apples"]


def test_blanks_are_folded():
    assert wrap("  rye   bread ", 20) == ["rye bread"]
    assert wrap("   ", 20) == []


def test_width_is_checked():
    with pytest.raises(ValueError):
        wrap("bread", 0)
