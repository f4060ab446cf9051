import pytest

from slugs import slugify, unique_slug


def test_the_issues_example():
    assert slugify("Fresh bread daily", max_length=11) == "fresh-bread"


def test_a_word_that_ends_at_the_limit_stays():
    title = "Open all day and night"
    assert slugify(title, max_length=8) == "open-all"
    assert slugify(title, max_length=12) == "open-all-day"
    assert slugify(title, max_length=16) == "open-all-day-and"


def test_every_limit_keeps_as_many_whole_words_as_fit():
    words = ["to", "a", "small", "town", "by", "the", "sea"]
    for limit in range(2, 30):
        fitting = [n for n in range(1, 8) if len("-".join(words[:n])) <= limit]
        assert slugify(" ".join(words), limit) == "-".join(words[: fitting[-1]])


def test_a_numbered_slug_keeps_its_words_too():
    assert unique_slug("Red barn door", {"red-barn-door"}, max_length=13) == "red-barn-2"
    assert unique_slug("Red barn door", {"red-barn"}, max_length=10) == "red-barn-2"


def test_a_limit_right_behind_a_dash():
    assert slugify("Fresh bread daily", max_length=12) == "fresh-bread"


def test_a_word_that_does_not_fit_is_left_out():
    assert slugify("Fresh bread daily", max_length=10) == "fresh"


def test_a_first_word_that_is_too_long_is_cut_in_two():
    assert slugify("Blackcurrant jam", max_length=5) == "black"


def test_a_slug_of_just_the_right_length():
    assert slugify("Fresh bread", max_length=11) == "fresh-bread"


def test_no_room_at_all_is_refused():
    with pytest.raises(ValueError):
        slugify("Fresh bread", max_length=0)
