"""What one does with ingredients."""

from dataclasses import replace
from fractions import Fraction

from ladle.ingredient import parse
from ladle.units import LARGER


def _promote(ingredient):
    """Use a larger unit where the amount makes at least one whole of it."""
    while ingredient.unit in LARGER:
        unit, size = LARGER[ingredient.unit]
        if ingredient.amount < size:
            break
        ingredient = replace(ingredient, amount=ingredient.amount / size, unit=unit)
    return ingredient


def scale(lines, serves, wanted):
    """The lines of a recipe for ``serves`` people, for ``wanted`` people."""
    factor = Fraction(wanted, serves)
    scaled = []
    for line in lines:
        ingredient = parse(line)
        amount = ingredient.amount * factor
        scaled.append(str(_promote(replace(ingredient, amount=amount))))
    return scaled


def shopping_list(*recipes):
    """All that some recipes need, each thing once for each unit, by name."""
    totals = {}
    for lines in recipes:
        for ingredient in map(parse, lines):
            key = (ingredient.name, ingredient.unit)
            if key in totals:
                amount = totals[key].amount + ingredient.amount
                ingredient = replace(ingredient, amount=amount)
            totals[key] = ingredient
    return [str(totals[key]) for key in sorted(totals)]
