"""Units of the kitchen."""

_SPELLINGS = {
    "tsp": ("tsp", "tsps", "teaspoon", "teaspoons"),
    "tbsp": ("tbsp", "tbsps", "tablespoon", "tablespoons"),
    "cup": ("cup", "cups"),
    "g": ("g", "gram", "grams"),
}
_CANONICAL = {word: unit for unit, words in _SPELLINGS.items() for word in words}

# A unit, the next larger one, and how many of the first make one of those.
LARGER = {"tsp": ("tbsp", 3), "tbsp": ("cup", 16)}


def canonical(word):
    """The short name of the unit that a word spells, or None."""
    return _CANONICAL.get(word.lower())
