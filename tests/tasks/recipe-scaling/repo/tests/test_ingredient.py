from fractions import Fraction

from ladle.ingredient import Ingredient, parse


def test_parse():
    assert parse("1 1/2 cup flour") == Ingredient(Fraction(3, 2), "cup", "flour")


def test_things_to_count():
    assert parse("3 large eggs") == Ingredient(Fraction(3), "", "large eggs")


def test_no_number():
    assert parse("Lemon") == Ingredient(Fraction(1), "", "lemon")


def test_text():
    assert str(parse("3/4 tsp salt")) == "3/4 tsp salt"
    assert str(parse("2 1/3 cup milk")) == "2 1/3 cup milk"
