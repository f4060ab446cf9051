"""Crops and the families they belong to."""

FAMILIES = {
    "bean": "legume",
    "pea": "legume",
    "kale": "cabbage",
    "radish": "cabbage",
    "leek": "onion",
    "onion": "onion",
    "tomato": "nightshade",
}


class UnknownCrop(KeyError):
    """A crop of which we do not know the family."""


def family(crop):
    if crop not in FAMILIES:
        raise UnknownCrop(crop)
    return FAMILIES[crop]
