import pytest

from serials import Serial, SerialError, find_all, is_serial, parse


def test_parse():
    assert parse(" cl-00417b ") == Serial("CL", 417, "B")
    assert str(parse("CL-00417")) == "CL-00417"


def test_instrument():
    assert parse("FL-10000").instrument == "flute"
    assert parse("ZZ-10000").instrument == "unknown"


@pytest.mark.parametrize("text", ["", "CL00417", "C-00417", "CL-417", "No. CL-00417"])
def test_texts_that_are_no_serial_numbers(text):
    assert not is_serial(text)
    with pytest.raises(SerialError):
        parse(text)


def test_find_all_in_a_letter():
    letter = "I sold FL-00012 and bought CL-00417B, both used."
    assert find_all(letter) == [Serial("FL", 12), Serial("CL", 417, "B")]
