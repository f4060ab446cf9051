"""Breaks text into lines."""


def words_that_fit(words, width):
    """How many words from the front fit on one line."""
    used = 0
    for number, word in enumerate(words):
        used += len(word) + (1 if number else 0)
        if used > width:
            return number
    return len(words)


def wrap(text, width):
    """The text as lines of at most ``width`` characters, broken between words.

    A word that is longer than a line begins on a line of its own and is broken
    wherever the line is full. What is left of it counts as a word like others.
    """
    if width < 1:
        raise ValueError("a line needs room for one character at least")
    words = text.split()
    lines = []
    while words:
        count = words_that_fit(words, width)
        if count:
            lines.append(" ".join(words[:count]))
        words = words[count:]
    return lines
