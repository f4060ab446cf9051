import pytest

from stencil import TemplateError, render


def test_trim_then_upper():
    assert render("<{{ x | trim | upper }}>", {"x": " pine "}) == "<PINE>"


def test_upper_then_trim():
    assert render("<{{ x | upper | trim }}>", {"x": " pine "}) == "<PINE>"


def test_three_filters_with_an_argument():
    context = {"x": "  winter coats  "}
    assert render("{{ x | trim | truncate:6 | title }}", context) == "Winter"


def test_fallback_goes_on_through_later_filters():
    assert render("{{ nick | default:friend | upper }}", {}) == "FRIEND"


def test_length_of_the_trimmed_text():
    assert render("{{ x | trim | length }}", {"x": "  abc  "}) == "3"


def test_order_matters():
    context = {"x": "   abcdef"}
    assert render("{{ x | truncate:5 | trim }}", context) == "ab"
    assert render("{{ x | trim | truncate:5 }}", context) == "abcde"


def test_one_filter_and_none():
    assert render("{{ x }} {{ x | title }}", {"x": "elm"}) == "elm Elm"


def test_each_placeholder_starts_afresh():
    assert render("{{ a | upper }}{{ b }}", {"a": "x", "b": "y"}) == "Xy"


def test_unknown_filter_in_second_place():
    with pytest.raises(TemplateError):
        render("{{ x | trim | polish }}", {"x": "elm"})
