"""pytest's account of a failed test, read."""

import ast
import re
from dataclasses import dataclass

from sdists.hidden import function_of
from sdists.runner import Ended

FRAME = re.compile(r"^(?P<path>[\w.+/-]+\.py):(?P<line>\d+): ?(?P<more>.*)$")
# Of an explanation; pytest shortens long ones itself.
EXPLANATION_LINES_MAX = 12


@dataclass(frozen=True)
class Failure:
    test: str
    frames: "list[tuple[str, int]]"
    """File and line, outermost first."""
    error: str
    """The exception, `Type: message`, on one line; that of an assertion is `AssertionError`."""
    explanation: "list[str]"
    arguments: "dict[str, str]"
    """The test's own arguments, by name, as pytest writes their values."""

    @property
    def path(self) -> str:
        return function_of(self.test)[0]

    @property
    def line(self) -> int:
        """In the test's file, of the last statement there that ran."""
        return next((line for path, line in reversed(self.frames) if path == self.path), 0)

    def is_raised_in_test(self) -> bool:
        return bool(self.frames) and self.frames[-1][0] == self.path


def read(ended: Ended) -> Failure:
    lines = ended.text.splitlines()
    found = list(filter(None, map(FRAME.match, lines)))
    frames = [(one["path"], int(one["line"])) for one in found]
    explanation = [line[1:].strip() for line in lines if line.startswith("E ")]
    error = (ended.message.strip().splitlines() or [""])[0]
    return Failure(
        ended.id, frames, error, explanation[:EXPLANATION_LINES_MAX], arguments_of(lines)
    )


def arguments_of(lines: "list[str]") -> "dict[str, str]":
    """pytest begins with lines of `name = value, name = value`."""
    found = {}
    for line in lines:
        if not re.match(r"^\w+ = ", line):
            break
        text = f"f({line.rstrip(',')})"
        try:
            (call,) = ast.parse(text).body
            found.update(
                (one.arg, ast.get_source_segment(text, one.value)) for one in call.value.keywords
            )
        except (SyntaxError, ValueError, AttributeError):
            continue  # The value of one is no expression: an object as it prints itself.
    return found
