from ladle.kitchen import scale, shopping_list


def test_spellings_of_spoons_are_one_line():
    soup = ["1 tablespoon oil", "2 grams saffron"]
    salad = ["2 Tablespoons oil", "1 tbsp oil", "1 g saffron"]
    assert shopping_list(soup, salad) == ["4 tbsp oil", "3 g saffron"]


def test_long_and_plural_in_one_recipe():
    assert shopping_list(["1/2 teaspoon salt", "1 tsps salt"]) == ["1 1/2 tsp salt"]


def test_plural_alone_is_shown_short():
    assert shopping_list(["2 cups sugar"]) == ["2 cup sugar"]


def test_scaling_promotes_long_names():
    assert scale(["2 teaspoons pepper"], 2, 3) == ["1 tbsp pepper"]


def test_scaling_promotes_twice():
    assert scale(["24 teaspoons honey"], 1, 2) == ["1 cup honey"]


def test_scaling_without_promotion():
    assert scale(["2 cups rice"], 4, 6) == ["3 cup rice"]


def test_other_units_stay_apart():
    lists = ["1 cup milk"], ["20 g milk"], ["1 milk"]
    assert shopping_list(*lists) == ["1 milk", "1 cup milk", "20 g milk"]


def test_short_names_work_as_before():
    assert scale(["4 tbsp oil", "3 eggs"], 2, 4) == ["8 tbsp oil", "6 eggs"]
    assert shopping_list(["1 cup flour"], ["1 cup flour"]) == ["2 cup flour"]


def test_word_that_is_no_unit():
    assert shopping_list(["2 cupcakes"], ["1 Cupcakes"]) == ["3 cupcakes"]
