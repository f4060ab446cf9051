"""Tasks out of HumanEval's solutions, each with one defect."""

import random
import subprocess
import tempfile
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from tasks.checks import Failure, apply_patch, change_diff, limited, new_file_diff, results
from tasks.humaneval import Assertion, Problem
from tasks.mutants import mutants

SOURCE, TESTS = "solution.py", "test_solution.py"
PREFIX = "humaneval_more__"
# The slowest of the solutions' tests, one of problem 75, takes 0.08 s.
TEST_S_MAX = 2
# Characters of a result that an issue shows.
RESULT_CHARS_MAX = 160
# Defects whose tests end differently under these are thrown away.
HASH_SEEDS = ["0", "1"]


@dataclass(frozen=True)
class Mutant:
    kind: str
    source: str
    outcome: dict[str, bool]
    """Whether each test passes."""


def tasks_of(
    problem: Problem, wanted: int, seed: int, python: Path
) -> tuple[list[Mutant], list[dict], int]:
    """The mutants that were kept, their tasks, and how many mutants were tried."""
    rng = random.Random(f"{seed}/{problem.number}")
    try:
        kept, tried = defects(problem, wanted, rng, python)
        return (
            kept,
            [packed(problem, mutant, rank, python) for rank, mutant in enumerate(kept, 1)],
            tried,
        )
    except Failure as failure:
        raise Failure(f"problem {problem.number}: {failure}") from None


def defects(
    problem: Problem, wanted: int, rng: random.Random, python: Path
) -> tuple[list[Mutant], int]:
    """Up to `wanted` mutants that fail a test, and how many were tried."""
    with tempfile.TemporaryDirectory() as scratch:
        gold = outcome(problem, problem.source, python, Path(scratch))
        if len(gold) != len(problem.assertions) or not all(gold.values()):
            raise Failure(
                "its solution does not pass its tests: are pytest and pytest-timeout"
                f" installed for {python}?"
            )
        partial, total, tried = [], [], 0
        for kind, source in mixed(mutants(problem.source), rng):
            tried += 1
            found = outcome(problem, source, python, Path(scratch))
            if not found or all(found.values()):
                continue
            mutant = Mutant(kind, source, found)
            if outcome(problem, source, python, Path(scratch), HASH_SEEDS[1]) == found:
                (partial if any(found.values()) else total).append(mutant)
            if len(partial) == wanted:
                break
    return (partial + total)[:wanted], tried


def mixed(by_kind: dict[str, list[str]], rng: random.Random) -> list[tuple[str, str]]:
    """All mutants, kinds in turn, so that a kind with many places is not drawn more often."""
    columns = [
        [(kind, source) for source in rng.sample(sources, len(sources))]
        for kind, sources in by_kind.items()
    ]
    rng.shuffle(columns)
    return [mutant for turn in zip_longest(*columns) for mutant in turn if mutant]


def outcome(
    problem: Problem, source: str, python: Path, scratch: Path, hash_seed: str = HASH_SEEDS[0]
) -> dict[str, bool]:
    """Whether each test passes with this source; empty for a source that held up the whole run."""
    tree = planted(problem, source, scratch)
    try:
        return results(python, tree, TESTS, TEST_S_MAX, hash_seed)
    except Failure:
        return {}


def planted(problem: Problem, source: str, scratch: Path) -> Path:
    tree = scratch / "tree"
    tree.mkdir(exist_ok=True)
    (tree / SOURCE).write_text(source)
    (tree / TESTS).write_text(problem.tests())
    return tree


def packed(problem: Problem, mutant: Mutant, rank: int, python: Path) -> dict:
    """The task as a line of the file; a failure if its gold patch is not one."""
    patch = change_diff(SOURCE, mutant.source, problem.source)
    fails = [test for test, passed in mutant.outcome.items() if not passed]
    shown = problem.assertions[list(mutant.outcome).index(fails[0])]
    with tempfile.TemporaryDirectory() as scratch:
        tree = planted(problem, mutant.source, Path(scratch))
        observed = observation(problem, shown, tree, python)
        apply_patch(tree, patch)
        if (tree / SOURCE).read_text() != problem.source:
            raise Failure("the gold patch does not give the solution back")
    return {
        "instance_id": f"{PREFIX}{problem.number}" + (f"-{rank}" if rank > 1 else ""),
        # Tasks of one problem share it: they are no independent draws.
        "repo": f"{PREFIX}{problem.number}",
        "base_commit": "",
        "problem_statement": issue(problem, shown, observed),
        "hints_text": mutant.kind,
        "files": {SOURCE: mutant.source},
        "patch": patch,
        "test_patch": new_file_diff(TESTS, problem.tests()),
        "FAIL_TO_PASS": fails,
        "PASS_TO_PASS": [test for test, passed in mutant.outcome.items() if passed],
    }


def observation(problem: Problem, assertion: Assertion, tree: Path, python: Path) -> str:
    """What the call of a failing assertion does, as the end of a sentence."""
    value, _ = assertion.value_and_expected(problem.function)
    code = f"from solution import {problem.function}\nprint(repr({value}), end='')"
    try:
        done = limited(
            [python, "-c", code], tree, TEST_S_MAX, HASH_SEEDS[0], capture_output=True, text=True
        )
    except subprocess.TimeoutExpired:
        return f"has not come back after {TEST_S_MAX} seconds"
    if done.returncode != 0:
        return f"raises `{clipped((done.stderr.strip().splitlines() or ['an error'])[-1])}`"
    # An address is another one each time.
    return "gives something else" if " at 0x" in done.stdout else f"gives `{clipped(done.stdout)}`"


def clipped(text: str) -> str:
    return text if len(text) <= RESULT_CHARS_MAX else text[:RESULT_CHARS_MAX] + "..."


def issue(problem: Problem, shown: Assertion, observed: str) -> str:
    value, expected = shown.value_and_expected(problem.function)
    purpose = "\n".join(f"> {line}" for line in problem.purpose)
    return f"""`{problem.function}` in `{SOURCE}` does not do what its docstring says:

{purpose}

`{value}` {observed}. I expected `{clipped(expected)}`, so this should hold, and does not:

    {shown.text(problem.function)}

Other code calls it, so its name and its arguments have to stay as they are.
"""
