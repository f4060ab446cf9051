import pytest

from stencil import TemplateError, render


def test_plain_text_is_kept():
    assert render("no placeholders { here }", {}) == "no placeholders { here }"


def test_nested_value():
    context = {"customer": {"name": "Ida"}}
    assert render("Dear {{ customer.name }},", context) == "Dear Ida,"


def test_missing_value_is_empty():
    assert render("[{{ customer.name }}]", {}) == "[]"


def test_filter():
    assert render("{{ word | upper }}", {"word": "tea"}) == "TEA"


def test_filter_with_argument():
    assert render("{{ word | truncate:3 }}", {"word": "kettle"}) == "ket"


def test_comment_leaves_no_trace():
    assert render("a{# not\nshown #}b", {}) == "ab"


def test_unknown_filter():
    with pytest.raises(TemplateError):
        render("{{ word | shout }}", {"word": "tea"})
