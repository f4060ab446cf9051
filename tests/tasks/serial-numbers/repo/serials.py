"""Serial numbers of instruments."""

import re
from dataclasses import dataclass

_SERIAL = re.compile(r"([A-Z]{2})-(\d{5})([A-Z]?)")

MODELS = {"CL": "clarinet", "FL": "flute", "OB": "oboe"}


class SerialError(ValueError):
    """A text that is not a serial number."""


@dataclass(frozen=True, order=True)
class Serial:
    model: str
    number: int
    revision: str = ""

    @property
    def instrument(self):
        """What kind of instrument it is, ``unknown`` for a model we never built."""
        return MODELS.get(self.model, "unknown")

    def __str__(self):
        return f"{self.model}-{self.number:05d}{self.revision}"


def _serial(match):
    model, number, revision = match.groups()
    return Serial(model, int(number), revision)


def parse(text):
    """The serial number that a text consists of; blanks around it do not matter."""
    match = _SERIAL.match(text.strip().upper())
    if match is None:
        raise SerialError(f"not a serial number: {text!r}")
    return _serial(match)


def is_serial(text):
    """Whether a text consists of a serial number."""
    try:
        parse(text)
    except SerialError:
        return False
    return True


def find_all(text):
    """All serial numbers within a longer text, in their order."""
    return [_serial(match) for match in _SERIAL.finditer(text)]


def split_valid(lines):
    """Lines of a list as two: serial numbers, and the lines that are none."""
    good, bad = [], []
    for line in lines:
        if is_serial(line):
            good.append(parse(line))
        else:
            bad.append(line)
    return good, bad
