"""Each test in a process of its own."""

import os
import signal
import time

import pytest
from _pytest.runner import runtestprotocol

from egss_pytest.child import Child
from egss_pytest.limits import alarm
from egss_pytest.reports import captured, data_of, no_result, report_of
from egss_pytest.request import GRACE_SECONDS, SECONDS
from egss_pytest.stream import plain


class Isolation:
    """The plugin that runs each test in a child, fixtures of every scope included."""

    def __init__(self, coverage, stream):
        self.coverage = coverage
        self.stream = stream
        # Reports that a plugin logs by itself in a child: those of subtests.
        self.logged = None

    def pytest_collection_finish(self, session):
        # Made once: each child would make a base folder of its own.
        factory = getattr(session.config, "_tmp_path_factory", None)
        if factory is not None:
            factory.getbasetemp()
        ids = [plain(item.nodeid) for item in session.items]
        doctests = [type(item).__name__ == "DoctestItem" for item in session.items]
        doctests = [nodeid for nodeid, is_one in zip(ids, doctests) if is_one]
        self.stream.tell({"collected": {"ids": ids, "doctests": doctests}})
        # Now, as the last one is asked first: no plugin runs a test in its own way.
        session.config.pluginmanager.register(Protocol(self), "egss-protocol")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report):
        if self.logged is not None:
            self.logged.append(report)

    def run_one(self, item):
        hook = item.ihook
        self.stream.tell({"started": plain(item.nodeid)})
        hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        reports = self.reports(item)
        self.stream.end(item.nodeid, reports)
        for report in reports:
            hook.pytest_runtest_logreport(report=report)
        # Not before pytest 3.4.
        if hasattr(hook, "pytest_runtest_logfinish"):
            hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)

    def reports(self, item):
        started = time.time()
        child = Child(lambda: self.run(item))
        reply, why = child.wait(SECONDS + GRACE_SECONDS)
        if reply is None:
            return [no_result(item, why, captured(item.config), started)]
        if self.coverage is not None:
            self.coverage.add(reply["ran"])
        return [report_of(item.config, data) for data in reply["reports"]]

    def run(self, item):
        """In the child: the whole life of a test and its fixtures."""
        os.close(self.stream.file)
        self.logged = []
        signal.signal(signal.SIGALRM, alarm)
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        reports = runtestprotocol(item, log=False, nextitem=None)
        signal.setitimer(signal.ITIMER_REAL, 0)
        return {
            "reports": [data_of(item.config, report) for report in self.logged + reports],
            "ran": self.coverage.ran() if self.coverage is not None else {},
        }


class Protocol:
    """The plugin that is asked first to run a test."""

    def __init__(self, isolation):
        self.isolation = isolation

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item):
        self.isolation.run_one(item)
        return True
