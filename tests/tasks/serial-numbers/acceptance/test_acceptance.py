import pytest

from serials import Serial, SerialError, find_all, is_serial, parse, split_valid


def test_the_issues_example():
    assert not is_serial("CL-004171")


def test_anything_behind_the_number_is_refused():
    for text in ["CL-00417 (the black one)", "CL-00417BB", "CL-00417-", "CL-00417 B"]:
        with pytest.raises(SerialError):
            parse(text)


def test_two_numbers_are_not_one():
    assert not is_serial("CL-00417\nFL-00012")
    assert not is_serial("CL-00417 FL-00012")


def test_a_list_is_split():
    good, bad = split_valid(["CL-00417", "CL-004171", "OB-00001C?", "ob-00002c"])
    assert good == [Serial("CL", 417), Serial("OB", 2, "C")]
    assert bad == ["CL-004171", "OB-00001C?"]


def test_good_numbers_are_still_read():
    assert parse("CL-00417") == Serial("CL", 417)
    assert parse("CL-00417B") == Serial("CL", 417, "B")


def test_blanks_around_a_number_do_not_matter():
    assert parse("  fl-00012\n") == Serial("FL", 12)


def test_letters_are_still_searched():
    letter = "Bring CL-00417, FL-00012A and OB-00003."
    assert [str(serial) for serial in find_all(letter)] == ["CL-00417", "FL-00012A", "OB-00003"]


def test_too_much_in_front_is_refused():
    assert not is_serial("XCL-00417")
