"""Mutants that few tests fail with, and the issue that one of these gives."""

import random
from dataclasses import dataclass
from pathlib import PurePosixPath

from sdists import failure as failures
from sdists import hidden, tree
from sdists.issue import issue
from sdists.release import Release
from sdists.runner import Ended
from sdists.sites import Mutant
from sdists.snippet import Module, snippet

# A defect that more tests fail with is no small one.
FAILS_MAX = 10
# Nearly all tests that reach the file still pass, and half of those that reach the function.
FILE_SHARE_MAX, FUNCTION_SHARE_MAX = 0.1, 0.5
# Tried first: a defect that breaks everything is seen at once.
FIRST_TESTS = 12
# A defect in a place that more tests reach nearly always fails more than FAILS_MAX of them.
TESTS_MAX = 100
# Errors that a traceback ends with at the very line of a defect where the code makes no sense of
# its own: nobody would have to look for it.
SLIPS = ("TypeError", "AttributeError", "NameError", "UnboundLocalError")


@dataclass(frozen=True)
class Defect:
    mutant: Mutant
    fails: "list[str]"
    issue: str
    script: str
    visible: "dict[str, str]"
    """Test files without the tests that fail."""


class Dropped(Exception):
    """A mutant that is no task, and why."""


def defect(one: Release, mutant: Mutant, rng: random.Random) -> Defect:
    """The mutant as a defect that few tests fail with."""
    reaching = sorted(one.reach.of(mutant.site.path, mutant.lines))
    n_fails_max = min(
        FAILS_MAX,
        FILE_SHARE_MAX * len(one.reach.of(mutant.site.path)),
        FUNCTION_SHARE_MAX * len(one.reach.of(mutant.site.path, mutant.site.lines)),
    )
    if len(reaching) > TESTS_MAX:
        raise Dropped("reached by too many tests")
    first = reaching
    if len(reaching) > 2 * FIRST_TESTS:
        first = sorted(rng.sample(reaching, FIRST_TESTS))
    ends = {}
    for some in (first, [test for test in reaching if test not in first]):
        more = one.bench.outcome(mutant, some) if some else {}
        if more is None:
            raise Dropped("with a test that came to no result")
        ends.update(more)
        fails = sorted(test for test, end in ends.items() if end.result == "failed")
        if len(fails) > n_fails_max:
            raise Dropped("failed too many tests")
    if not fails:
        raise Dropped("failed no test")
    if one.slow & set(fails):
        raise Dropped("failed a slow test")
    visible = without_tests(one, fails)
    if visible is None:
        raise Dropped("failed a test that is not written as a function")
    text, script = issue_of(one, mutant, [ends[test] for test in fails])
    return Defect(mutant, fails, text, script, visible)


def without_tests(one: Release, fails: "list[str]") -> "dict[str, str] | None":
    """Test files without these tests; None where that cannot be."""
    functions = {}
    for test in fails:
        path, names = hidden.function_of(test)
        functions.setdefault(path, set()).add(names)
    found = {}
    for path, names in sorted(functions.items()):
        is_tests = path.endswith(".py") and not tree.is_source(path)
        left = hidden.without(one.files[path], names) if is_tests else None
        if left is None:
            return None
        found[path] = left
    return found


def issue_of(one: Release, mutant: Mutant, ends: "list[Ended]") -> "tuple[str, str]":
    """The shortest issue that a failure gives, and its script; rather one that no traceback
    leads from to the line of the defect."""
    found = set()
    for end in ends:
        failure = failures.read(end)
        ends_at_defect = bool(failure.frames) and failure.frames[-1] in [
            (mutant.site.path, line) for line in mutant.lines
        ]
        if ends_at_defect and failure.error.startswith(SLIPS):
            continue
        made = drafted(one, end)
        if made:
            text, script = made
            found.add((ends_at_defect, len(text), text, script))
    if not found:
        raise Dropped("failed tests that no report could be made of")
    for _, _, text, script in sorted(found):
        if one.bench.tells(script):
            return text, script
    raise Dropped("failed tests whose statements do not stand alone")


def drafted(one: Release, ended: Ended) -> "tuple[str, str] | None":
    """An issue's text and its script."""
    failure = failures.read(ended)
    path, names = hidden.function_of(failure.test)
    folders = PurePosixPath(path).parents
    conftests = [(folder / "conftest.py").as_posix() for folder in folders]
    helpers = [Module(one.files[name]) for name in conftests if name in one.files]
    module = Module(one.files[path])
    script = snippet(module, names, failure.line, failure.arguments, helpers)
    files = {**one.files, **one.bench.changed}
    text = script and issue(failure, script, files)
    # Addresses and folders of one run say nothing elsewhere.
    passing = (" at 0x", "/tmp/", str(one.bench.base.parent))
    return (text, script.text) if text and not any(part in text for part in passing) else None
