from tabular import TAB, join_row, write


def test_quotes_where_needed():
    assert join_row(["a", "b,c", 'd"e']) == 'a,"b,c","d""e"'


def test_tab():
    assert write([["a", 1], ["b,c", 2]], TAB) == "a\t1\nb,c\t2\n"
