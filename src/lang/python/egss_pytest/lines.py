"""Which lines the tests run."""

import json
import os

from egss_pytest.request import PRIVATE


class Coverage:
    """Counts which of some lines are run, in this process and in its children."""

    def __init__(self, changed):
        import coverage

        self.changed = {os.path.realpath(path): set(lines) for path, lines in changed.items()}
        self.seen = {path: set() for path in self.changed}
        self.tool = coverage.Coverage(
            data_file=None, config_file=False, include=list(self.changed), messages=False
        )
        self.tool.start()

    def ran(self):
        """The lines that this process has run and not told yet."""
        self.tool.stop()
        data = self.tool.get_data()
        new = {path: set(data.lines(path) or []) - self.seen[path] for path in self.changed}
        self.tool.start()
        self.add(new)
        return {path: sorted(lines) for path, lines in new.items()}

    def add(self, ran):
        for path, lines in ran.items():
            self.seen[path].update(lines)

    def finish(self):
        self.ran()
        self.tool.stop()
        lines = covered = 0
        for path, changed in self.changed.items():
            try:
                executable = set(self.tool.analysis2(path)[1])
            except Exception:
                # No Python that parses: nothing of it can be run.
                continue
            lines += len(changed & executable)
            covered += len(changed & executable & self.seen[path])
        with open(os.path.join(PRIVATE, "coverage.json"), "w", encoding="utf-8") as file:
            json.dump({"lines": lines, "covered": covered}, file)
