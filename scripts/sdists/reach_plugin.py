"""`egss_pytest`, which also tells the lines that each test runs.

Called as `egss_pytest` is. `reach.json` in the private folder is then
`{"tests": {id: {path: [line]}}, "outside": {path: [line]}}`: `outside` is what ran outside of
tests, by imports and collection. It is for requests with `apart`.
"""

import json
import os

import coverage

from egss_pytest import isolation, main
from egss_pytest.request import PRIVATE, ROOT

TEST = "test"


class Reach:
    """In the place of `egss_pytest.lines.Coverage`."""

    def __init__(self, _):
        self.tests = {}
        self.test = None
        self.tool = coverage.Coverage(
            data_file=None, config_file=False, include=[os.path.join(ROOT, "*")], messages=False
        )
        self.tool.start()

    def lines(self, context):
        self.tool.stop()
        data = self.tool.get_data()
        data.set_query_context(context)
        found = {path: sorted(data.lines(path)) for path in sorted(data.measured_files())}
        return {os.path.relpath(path, ROOT): lines for path, lines in found.items() if lines}

    def ran(self):
        return self.lines(TEST)

    def add(self, ran):
        self.tests[self.test] = ran

    def finish(self):
        told = {"tests": self.tests, "outside": self.lines("")}
        with open(os.path.join(PRIVATE, "reach.json"), "w", encoding="utf-8") as reply:
            json.dump(told, reply)


class Reaching(isolation.Isolation):
    """In the place of `egss_pytest.isolation.Isolation`."""

    def wait(self, child, item):
        self.coverage.test = item.nodeid
        return super().wait(child, item)

    def work(self, items, send):
        self.coverage.tool.switch_context(TEST)
        super().work(items, send)


main.Coverage = Reach
main.Isolation = Reaching
