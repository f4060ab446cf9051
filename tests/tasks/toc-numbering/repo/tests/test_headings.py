from outline.headings import Heading, find_headings


def test_levels_and_titles():
    assert find_headings("# Soup\ntext\n## Stock ##\n#no heading\n") == [
        Heading(1, "Soup"),
        Heading(2, "Stock"),
    ]


def test_code_is_left_out():
    assert find_headings("```\n# a comment\n```\n# Soup") == [Heading(1, "Soup")]
