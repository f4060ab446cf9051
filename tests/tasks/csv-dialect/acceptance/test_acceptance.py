import pytest

from tabular import SEMICOLON, TAB, join_row, read, read_records, split_row


def test_last_field_is_empty():
    assert split_row("a,b,") == ["a", "b", ""]


def test_all_fields_are_empty():
    assert split_row(",,") == ["", "", ""]
    assert split_row(",") == ["", ""]


def test_empty_quotes_at_the_end():
    assert split_row('a,""') == ["a", ""]


def test_other_dialects():
    assert split_row("a;;", SEMICOLON) == ["a", "", ""]
    assert read("a\t\nb\tc\n", TAB) == [["a", ""], ["b", "c"]]


def test_records_with_and_without_a_remark():
    text = "name;remark\nIda;\nBo;late\n"
    assert read_records(text, SEMICOLON) == [
        {"name": "Ida", "remark": ""},
        {"name": "Bo", "remark": "late"},
    ]


@pytest.mark.parametrize("row", [["a", ""], ["", ""], ["x,y", "", 'q"', ""]])
def test_what_is_written_can_be_read(row):
    assert split_row(join_row(row)) == row


def test_short_rows_are_still_refused():
    with pytest.raises(ValueError):
        read_records("name,town,remark\nIda,Lund\n")


def test_blank_lines_are_still_passed_over():
    assert read("\na,b\n\n\nc,d\n\n") == [["a", "b"], ["c", "d"]]


def test_full_rows():
    assert split_row('one,"two, three",four') == ["one", "two, three", "four"]


def test_open_quote_is_still_refused():
    with pytest.raises(ValueError):
        split_row('a,"')
