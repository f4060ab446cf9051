"""A release whose tests have run."""

import shutil
from pathlib import Path

from sdists import runner, tree
from sdists.archive import parts, unpacked
from sdists.bench import Bench
from sdists.progress import Progress
from tasks.checks import Failure

# Tests that judge end well below the limit of `egss eval`, 5 s, on a slower machine too.
HIDDEN_MS_MAX = 1_500
# Of strings: what hangs on their order comes out otherwise the second time.
HASH_SEEDS = ["0", "1"]


class Release:
    """A package whose tests have run."""

    def __init__(self, release: str, python: Path, folder: Path, progress: Progress):
        self.release = release
        self.name = parts(release)[0]
        root = unpacked(release, folder / "sdists")
        self.files = tree.files_of(root)
        shutil.rmtree(root)
        work = folder / self.name
        shutil.rmtree(work, ignore_errors=True)
        self.bench = Bench(python, work, self.files)
        results, reach = runner.run_traced(python, self.bench.gold)
        again = runner.run(python, self.bench.gold, hash_seed=HASH_SEEDS[1])
        self.known = runner.passed(results) & runner.passed(again)
        """Tests that pass, twice."""
        if not self.known:
            raise Failure(f"{release}: no test of its source distribution passes")
        self.reach = reach.only(self.known)
        self.bench.ms = {test: end.ms for test, end in again.items()}
        self.slow = {one.id for one in again.values() if one.ms > HIDDEN_MS_MAX}
        progress.say(f"{release}: {len(self.known)} of {len(results)} tests pass, twice")
