from outline import table_of_contents


def test_numbers_of_a_single_chapter():
    text = "# Soup\n## Stock\n## Roots\n### Carrots\n"
    assert table_of_contents(text).splitlines() == [
        "1 Soup",
        "  1.1 Stock",
        "  1.2 Roots",
        "    1.2.1 Carrots",
    ]


def test_deep_headings_are_left_out():
    assert table_of_contents("# Soup\n## Stock", deepest=1) == "1 Soup"


def test_links():
    assert table_of_contents("# Hot soup!", links=True) == "1 [Hot soup!](#hot-soup)"


def test_a_level_that_is_left_out():
    assert table_of_contents("# Soup\n### Stock").splitlines()[1] == "    1.0.1 Stock"
