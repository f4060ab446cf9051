from finder import highlight, terms_of


def test_words_and_phrases():
    assert terms_of('Tea "Green Tin" x') == ["tea", "green tin", "x"]


def test_the_longest_term_wins():
    assert highlight("teapot and tea", ["tea", "teapot"]) == "[teapot] and [tea]"


def test_no_terms():
    assert highlight("tea", []) == "tea"
