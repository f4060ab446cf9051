from finder import search

NOTES = ["Tea is in the tin", "Coffee", "The tin of tea: green tea"]


def test_all_terms_have_to_be_there():
    assert search(NOTES, "tea coffee") == []
    assert search(NOTES, "coffee") == ["[Coffee]"]


def test_most_hits_first():
    assert search(NOTES, "tea tin") == [
        "The [tin] of [tea]: green [tea]",
        "[Tea] is in the [tin]",
    ]
