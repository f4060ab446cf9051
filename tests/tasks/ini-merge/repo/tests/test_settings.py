import pytest

from layered import load
from layered.ini import IniError, parse

BASE = """
; what we ship
[server]
host = localhost
port = 80

[log]
level = info
colour = yes
"""


def test_later_text_wins_key_by_key():
    settings = load(BASE, "[server]\nport = 8080\n")
    assert settings.get("server", "port") == "8080"
    assert settings.get("server", "host") == "localhost"


def test_environment_wins_over_texts():
    settings = load(BASE, variables={"APP_LOG__LEVEL": "debug", "LANG": "C"})
    assert settings.get("log", "level") == "debug"


def test_variable_without_a_key_is_passed_over():
    assert load(variables={"APP_DEBUG": "1"}).to_text() == ""


def test_truth_values():
    settings = load(BASE)
    assert settings.get_bool("log", "colour") is True
    assert settings.get_bool("log", "frames") is False
    with pytest.raises(ValueError):
        settings.get_bool("log", "level")


def test_text():
    assert load("[b]\nx = 1\n[a]\nz=2\n").to_text() == "[a]\nz = 2\n\n[b]\nx = 1\n"


def test_bad_line():
    with pytest.raises(IniError):
        parse("[a]\nnonsense\n")
