from till.receipt import item_lines, receipt
from till.wrap import wrap


def test_the_cake_of_the_issue():
    text = receipt([("Schwarzwälderkirschtorte", 3900)], width=24)
    assert text.splitlines() == [
        "Schwarzwälderkir",
        "schtorte           39.00",
        "-" * 24,
        "Total              39.00",
    ]


def test_a_long_word_between_others():
    assert wrap("a bcdefghijklm no", 5) == ["a", "bcdef", "ghijk", "lm no"]


def test_a_long_word_that_fills_its_lines():
    assert wrap("abcdefgh", 4) == ["abcd", "efgh"]
    assert wrap("abc", 1) == ["a", "b", "c"]


def test_a_word_as_long_as_a_line():
    assert wrap("abcd efgh", 4) == ["abcd", "efgh"]


def test_words_shorter_than_a_line():
    assert wrap("two pounds of small apples", 10) == ["two pounds", "of small", "apples"]


def test_nothing_to_wrap():
    assert wrap("", 5) == []
    assert item_lines("", 100, 12) == ["        1.00"]
