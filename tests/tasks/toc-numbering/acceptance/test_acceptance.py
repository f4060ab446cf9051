from outline import table_of_contents
from outline.headings import Heading
from outline.numbering import numbered


def numbers(*levels):
    return [number for number, _ in numbered(Heading(level, "x") for level in levels)]


def test_the_issues_example():
    text = "# Soup\n## Stock\n## Roots\n# Bread\n## Rye\n"
    assert table_of_contents(text).splitlines() == [
        "1 Soup",
        "  1.1 Stock",
        "  1.2 Roots",
        "2 Bread",
        "  2.1 Rye",
    ]


def test_three_chapters():
    assert numbers(1, 2, 1, 2, 2, 1, 2) == ["1", "1.1", "2", "2.1", "2.2", "3", "3.1"]


def test_the_third_level_starts_anew():
    assert numbers(1, 2, 3, 3, 2, 3) == ["1", "1.1", "1.1.1", "1.1.2", "1.2", "1.2.1"]


def test_two_levels_up_at_once():
    assert numbers(1, 2, 3, 1, 2, 3) == ["1", "1.1", "1.1.1", "2", "2.1", "2.1.1"]


def test_a_level_left_out_after_a_chapter():
    assert numbers(1, 2, 3, 1, 3) == ["1", "1.1", "1.1.1", "2", "2.0.1"]


def test_equal_levels_count_on():
    assert numbers(1, 1, 1) == ["1", "2", "3"]
    assert numbers(1, 2, 2, 2) == ["1", "1.1", "1.2", "1.3"]


def test_going_up_counts_on_there():
    assert numbers(1, 2, 3, 2, 1) == ["1", "1.1", "1.1.1", "1.2", "2"]


def test_links_and_indents_stay():
    text = "# Hot soup\n## Stock\n"
    assert table_of_contents(text, links=True).splitlines() == [
        "1 [Hot soup](#hot-soup)",
        "  1.1 [Stock](#stock)",
    ]
