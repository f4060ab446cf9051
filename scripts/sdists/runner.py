"""Runs of a package's tests by the runner that `egss` judges with."""

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sdists.reach import Reach
from tasks.checks import limited

HERE = Path(__file__).resolve().parent
RUNNER = HERE.parents[1] / "src" / "lang" / "python" / "egss_pytest"
PLUGIN = HERE / "reach_plugin.py"
# As src/lang/python/pytest.rs calls it.
CALL = (
    "import sys\nkept = [p for p in sys.path if p not in ('', '.')]\n"
    "sys.path[:] = [sys.argv[1]] + kept\n{more}from egss_pytest.main import main\n"
    "sys.path[:] = kept\nmain(sys.argv[2:])\n"
)
OPTIONS = ["-q", "--color=no", "--rootdir=.", "--continue-on-collection-errors"]
# As `egss eval --test-s-max` has it.
TEST_S_MAX = 5
START_S_MAX = 60
RUN_S_MAX = 600
# Tests see the same time zone, language and width on every machine.
ENV = {"TZ": "UTC", "LC_ALL": "C.UTF-8", "COLUMNS": "80", "PYTHONPATH": "", "PYTEST_ADDOPTS": ""}


@dataclass(frozen=True)
class Ended:
    """A test's end, as `egss_pytest.stream` tells it."""

    id: str
    result: str
    message: str
    text: str
    ms: int


Results = "dict[str, Ended]"
"""By id, in the order of the run; empty where the run did not come to its end."""


def run(
    python: Path,
    tree: Path,
    targets: "list[str] | None" = None,
    hash_seed: str = "0",
    s_max: float = RUN_S_MAX,
) -> Results:
    """The ends of tests; `targets` are files and ids, None is the project's own choice."""
    with tempfile.TemporaryDirectory(dir=tree.parent) as folder:
        return session(python, tree, Path(folder), targets, hash_seed, s_max)


def run_traced(python: Path, tree: Path) -> "tuple[Results, Reach]":
    """The ends of all tests, and the lines that each runs."""
    with tempfile.TemporaryDirectory(dir=tree.parent) as folder:
        (Path(folder) / PLUGIN.name).symlink_to(PLUGIN)
        results = session(python, tree, Path(folder), None, "0", RUN_S_MAX, is_traced=True)
        reply = Path(folder) / "reach.json"
        told = json.loads(reply.read_text()) if reply.exists() else {"tests": {}, "outside": {}}
    return results, Reach.read(told)


def session(
    python: Path,
    tree: Path,
    private: Path,
    targets: "list[str] | None",
    hash_seed: str,
    s_max: float,
    is_traced: bool = False,
) -> Results:
    (private / RUNNER.name).symlink_to(RUNNER)
    request = {
        "test_s_max": TEST_S_MAX,
        "start_s_max": START_S_MAX,
        "collect_only": False,
        "targets": targets,
        "suite": "",
        "done": [],
        "changed": {tree.name: []} if is_traced else None,
        # A cache that another test has filled would hide a line from a test.
        "apart": is_traced,
    }
    (private / "request.json").write_text(json.dumps(request))
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    call = CALL.format(more=f"import {PLUGIN.stem}\n" if is_traced else "")
    command = [python, "-B", "-c", call, private, *OPTIONS]
    try:
        limited(command, tree, s_max, hash_seed, ENV, **quiet)
    except subprocess.TimeoutExpired:
        return {}
    stream = private / "stream.jsonl"
    told = [json.loads(line) for line in stream.read_text().splitlines()] if stream.exists() else []
    if {"finished": True} not in told:
        return {}
    # A result that a test had alone counts.
    ended = [Ended(**line[kind]) for kind in ("ended", "alone") for line in told if kind in line]
    return {one.id: one for one in ended}


def passed(results: Results) -> "set[str]":
    return {one.id for one in results.values() if one.result == "passed"}
