"""Running and packing of tasks, for make-tasks and make-mutations."""

import difflib
import json
import os
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

try:
    import resource
except ImportError:  # Not on every system; what runs there has limits of time only.
    resource = None

VENV_PYTHON = Path(__file__).resolve().parents[2] / ".venv" / "bin" / "python"
TEST_S_MAX = 10
# No run may outlast this, whatever its tests do to the time limit of each.
RUN_S_MAX = 120
# Address space of a run, so that what grows without end is stopped; pytest itself takes 0.03 GiB.
RUN_BYTES_MAX = 1 << 30


class Failure(Exception):
    """Ends the script with one sentence."""


def results(
    python: Path, tree: Path, tests: str, test_s_max: int = TEST_S_MAX, hash_seed: str = "random"
) -> dict[str, bool]:
    """Whether each test of `tests` passed in `tree`, by id, from the runner's JUnit XML.

    Empty where nothing was collected. `hash_seed` is PYTHONHASHSEED. A failure if the
    run outlasts RUN_S_MAX.
    """
    report = tree.parent / f"{tree.name}.xml"
    report.unlink(missing_ok=True)
    command = [
        python,
        "-m",
        "pytest",
        tests,
        "-q",
        "-p",
        "no:cacheprovider",
        "--timeout",
        test_s_max,
        f"--junitxml={report}",
    ]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    try:
        limited(command, tree, RUN_S_MAX, hash_seed, **quiet)
    except subprocess.TimeoutExpired:
        raise Failure(f"the tests of {tests} were not done after {RUN_S_MAX} s") from None
    found = {}
    if not report.exists():
        return found
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        path = case.get("classname", "").replace(".", "/") + ".py"
        ended_badly = any(case.find(tag) is not None for tag in ("failure", "error", "skipped"))
        found[f"{path}::{case.get('name')}"] = not ended_badly
    return found


def limited(
    command: list,
    tree: Path,
    s_max: int,
    hash_seed: str = "random",
    more_env: "dict[str, str] | None" = None,
    **streams,
) -> subprocess.CompletedProcess:
    """Runs `command` in `tree` with limits of time and memory; nothing is left in the tree.

    Raises subprocess.TimeoutExpired after `s_max` seconds.
    """
    env = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": hash_seed}
    env |= more_env or {}
    words = [str(word) for word in command]
    return subprocess.run(
        words,
        cwd=tree,
        env=env,
        timeout=s_max,
        stdin=subprocess.DEVNULL,
        preexec_fn=limit_memory,
        **streams,
    )


def limit_memory() -> None:
    if resource is None:
        return
    try:
        resource.setrlimit(resource.RLIMIT_AS, (RUN_BYTES_MAX, RUN_BYTES_MAX))
    except (OSError, ValueError):
        pass  # Some systems have the limit and refuse it.


def apply_patch(tree: Path, patch: str) -> None:
    """`git apply` in `tree`, whatever repository lies around it; a failure if it does not apply."""
    env = os.environ | {"GIT_CEILING_DIRECTORIES": str(tree.parent)}
    done = subprocess.run(
        ["git", "apply", "-"], cwd=tree, input=patch.encode(), capture_output=True, env=env
    )
    if done.returncode != 0:
        raise Failure(f"the gold patch does not apply: {done.stderr.decode().strip()}")


def new_file_diff(path: str, text: str) -> str:
    body = "".join(
        difflib.unified_diff([], text.splitlines(keepends=True), "/dev/null", f"b/{path}")
    )
    return f"diff --git a/{path} b/{path}\nnew file mode 100644\n{body}"


def change_diff(path: str, before: str, after: str) -> str:
    lines = (lines_of(text) for text in (before, after))
    return f"diff --git a/{path} b/{path}\n" + "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
        for line in difflib.unified_diff(*lines, f"a/{path}", f"b/{path}")
    )


def lines_of(text: str) -> "list[str]":
    """Lines with their ends, as git and Python's parser know them: a form feed ends none."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def write_tasks(out: Path, tasks: list[dict]) -> None:
    """Writes the task file whole or not at all."""
    new = out.with_name(out.name + ".new")
    new.write_text("".join(json.dumps(task) + "\n" for task in tasks))
    os.replace(new, out)
