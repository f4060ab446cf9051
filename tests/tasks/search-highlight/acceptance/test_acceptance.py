from finder import highlight, search
from finder.highlight import count_hits


def test_the_issues_example():
    notes = ["Upgrade: 325 files, from 3.4 to 3.5"]
    assert search(notes, "3.5") == ["Upgrade: 325 files, from 3.4 to [3.5]"]


def test_an_open_parenthesis():
    assert search(["He wrote (sic) that"], "(sic") == ["He wrote [(sic]) that"]


def test_pluses_and_question_marks():
    assert highlight("C++ or C?", ["c++", "c?"]) == "[C++] or [C?]"


def test_a_bar_and_a_backslash():
    assert highlight(r"a|b in a or C:\new", ["a|b", "c:\\n"]) == r"[a|b] in a or [C:\n]ew"


def test_hits_are_counted_as_written():
    assert count_hits("1.0 is not 110 or 1x0", ["1.0"]) == 1


def test_the_order_follows_the_real_hits():
    notes = ["225 235 245 and 2.5", "2.5 and 2.5"]
    assert search(notes, "2.5") == ["[2.5] and [2.5]", "225 235 245 and [2.5]"]


def test_plain_words_are_marked_in_any_case():
    assert highlight("Tea, TEA, tea", ["tea"]) == "[Tea], [TEA], [tea]"


def test_phrases():
    assert search(["the green tin", "a tin, green"], '"green tin"') == ["the [green tin]"]


def test_the_longest_term_wins():
    assert highlight("teapot and tea", ["tea", "teapot"]) == "[teapot] and [tea]"
