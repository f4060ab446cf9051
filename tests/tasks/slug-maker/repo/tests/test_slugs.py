from slugs import slugify, unique_slug


def test_words_are_joined_by_dashes():
    assert slugify("Fresh bread, daily!") == "fresh-bread-daily"


def test_accents_are_dropped():
    assert slugify("Crème brûlée") == "creme-brulee"


def test_a_long_title_is_cut_behind_a_word():
    assert slugify("Fresh bread daily", max_length=14) == "fresh-bread"


def test_a_first_word_that_is_too_long_is_cut():
    assert slugify("Blackcurrants", max_length=5) == "black"


def test_numbers_for_slugs_that_are_taken():
    assert unique_slug("Fresh bread", {"fresh-bread"}) == "fresh-bread-2"
    assert unique_slug("Fresh bread", {"fresh-bread", "fresh-bread-2"}) == "fresh-bread-3"
