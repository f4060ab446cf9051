import pytest

from tabular import SEMICOLON, read, read_records, split_row


def test_fields():
    assert split_row("a,b c,d") == ["a", "b c", "d"]
    assert split_row("a;b,c", SEMICOLON) == ["a", "b,c"]


def test_quotes():
    assert split_row('"a,b",c') == ["a,b", "c"]
    assert split_row('"say ""hi""",x') == ['say "hi"', "x"]


def test_empty_field_in_the_middle():
    assert split_row("a,,c") == ["a", "", "c"]


def test_open_quote():
    with pytest.raises(ValueError):
        split_row('"a,b')


def test_blank_lines_are_passed_over():
    assert read("a,b\n\nc,d\n") == [["a", "b"], ["c", "d"]]


def test_records():
    assert read_records("name,age\nIda,7\n") == [{"name": "Ida", "age": "7"}]


def test_record_that_is_too_long():
    with pytest.raises(ValueError):
        read_records("name,age\nIda,7,x\n")
