import pytest

from layered import load


@pytest.mark.parametrize("section", ["pages", "api", "app", "paper", "apples"])
def test_section_with_letters_of_the_prefix(section):
    settings = load(variables={f"APP_{section.upper()}__SIZE": "3"})
    assert settings.get(section, "size") == "3"


def test_only_that_section_is_there():
    settings = load(variables={"APP_PATHS__CACHE": "warm"})
    assert settings.to_text() == "[paths]\ncache = warm\n"


def test_another_prefix():
    settings = load(variables={"MY_MYSQL__USER": "ida"}, prefix="MY_")
    assert settings.get("mysql", "user") == "ida"


def test_prefix_that_repeats():
    settings = load(variables={"X_X__X": "1"}, prefix="X_")
    assert settings.get("x", "x") == "1"


def test_value_wins_over_the_text():
    text = "[pool]\nsize = 1\nwait = 9\n"
    settings = load(text, variables={"APP_POOL__SIZE": "4"})
    assert settings.get("pool", "size") == "4"
    assert settings.get("pool", "wait") == "9"


def test_sections_that_worked_before():
    settings = load(variables={"APP_SERVER__PORT": "81", "APP_LOG__APP_NAME": "x"})
    assert settings.get("server", "port") == "81"
    assert settings.get("log", "app_name") == "x"


def test_other_variables_are_passed_over():
    variables = {"APPLE__PIE": "1", "PATH": "x", "MYAPP_A__B": "2", "APP_": "3"}
    assert load(variables=variables).to_text() == ""


def test_variable_without_a_key_is_passed_over():
    assert load(variables={"APP_PATHS": "1"}).to_text() == ""


def test_truth_value_from_the_environment():
    settings = load("[log]\ncolour = yes\n", variables={"APP_LOG__COLOUR": "off"})
    assert settings.get_bool("log", "colour", default=True) is False
