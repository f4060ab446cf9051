"""Two copies of a package side by side: as it is released, and with a defect."""

import subprocess
from pathlib import Path

from sdists import runner, tree
from sdists.runner import Ended
from sdists.sites import Mutant
from tasks.checks import limited

SCRIPT_S_MAX = 20
# Tests of a mutant may take so many times what they take of the release, and so much more: a
# defect that makes each of them run into its own limit is noticed early.
TIMES_MAX, MORE_S_MAX = 5, 20
# Failures of a script that say that it does not stand alone.
BROKEN = ("NameError", "ImportError", "ModuleNotFoundError", "SyntaxError", "FileNotFoundError")


class Bench:
    """`gold` stays as it is; `base` takes one mutant at a time."""

    def __init__(self, python: Path, folder: Path, files: "dict[str, str]"):
        self.python, self.files = python, files
        self.gold, self.base = folder / "gold" / "tree", folder / "base" / "tree"
        self.changed = {}
        self.ms = {}
        for place in (self.gold, self.base):
            tree.write(files, place)

    def put(self, changed: "dict[str, str]") -> None:
        """Makes `base` the release with these files changed, and no others."""
        back = {path: self.files[path] for path in self.changed if path not in changed}
        tree.write({**back, **changed}, self.base)
        self.changed = changed

    def outcome(
        self, mutant: Mutant, tests: "list[str]", hash_seed: str = "0"
    ) -> "dict[str, Ended] | None":
        """What the tests say of a mutant; None where one of them came to no result."""
        self.put({mutant.site.path: mutant.text})
        s_max = MORE_S_MAX + TIMES_MAX * sum(self.ms.get(test, 0) for test in tests) / 1_000
        found = runner.run(self.python, self.base, tests, hash_seed, s_max)
        results = {test: found[test] for test in tests if test in found}
        is_whole = len(results) == len(tests)
        has_results = all(one.result in ("passed", "failed") for one in results.values())
        return results if is_whole and has_results else None

    def tells(self, script: str) -> bool:
        """Whether a script passes as the package is released, and fails with the mutant."""
        place = self.base.parent / "example.py"
        place.write_text(script + "\n")
        ends = []
        for root in (self.gold, self.base):
            path = f"{root}:{root / 'src'}"
            command = [self.python, "-B", place]
            try:
                done = limited(
                    command,
                    root.parent,
                    SCRIPT_S_MAX,
                    "0",
                    {**runner.ENV, "PYTHONPATH": path},
                    capture_output=True,
                )
            except subprocess.TimeoutExpired:
                return False
            last = (done.stderr.decode(errors="replace").strip().splitlines() or [""])[-1]
            ends.append((done.returncode, last))
        (gold, _), (base, error) = ends
        return gold == 0 and base != 0 and not error.startswith(BROKEN)
