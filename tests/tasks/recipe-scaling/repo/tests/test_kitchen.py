from ladle.kitchen import scale, shopping_list


def test_scale():
    lines = ["1 cup rice", "2 eggs", "1/2 tsp salt"]
    assert scale(lines, 2, 3) == ["1 1/2 cup rice", "3 eggs", "3/4 tsp salt"]


def test_larger_unit():
    assert scale(["1 tsp cumin"], 1, 6) == ["2 tbsp cumin"]


def test_shopping_list():
    bread = ["3 cup flour", "1 tsp salt"]
    cake = ["1 cup flour", "4 eggs"]
    assert shopping_list(bread, cake) == ["4 eggs", "4 cup flour", "1 tsp salt"]
