"""Tests in processes that a crash, a hang or another test's traces do not outlive."""

import collections
import os
import signal
import time

import pytest
from _pytest.runner import runtestprotocol

from egss_pytest.child import Child
from egss_pytest.limits import ALARM, seconds_of
from egss_pytest.reports import captured, data_of, no_result, report_of
from egss_pytest.request import ALONE_MAX, GRACE_SECONDS, IS_APART
from egss_pytest.stream import is_failed, plain


class Isolation:
    """The plugin that runs the tests one after another in a child, fixtures of every scope
    included, and those that fail there once more, each in a child of its own. They are run at
    the end of their file: a session that is cut short has no failure that nothing confirmed."""

    def __init__(self, coverage, stream):
        self.coverage = coverage
        self.stream = stream
        # In a child: reports of the running test. Those of subtests a plugin logs by itself.
        self.reports = None

    def pytest_collection_finish(self, session):
        # Made once: each child would make a base folder of its own.
        factory = getattr(session.config, "_tmp_path_factory", None)
        if factory is not None:
            factory.getbasetemp()
        ids = [plain(item.nodeid) for item in session.items]
        doctests = [type(item).__name__ == "DoctestItem" for item in session.items]
        doctests = [nodeid for nodeid, is_one in zip(ids, doctests) if is_one]
        self.stream.tell({"collected": {"ids": ids, "doctests": doctests}})
        # Now, as the last one is asked first: no plugin runs tests in its own way.
        session.config.pluginmanager.register(Protocol(self), "egss-protocol")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report):
        if self.reports is not None:
            self.reports.append(report)

    def run_all(self, items):
        failed = []
        at = 0
        while at < len(items):
            at += self.run_some(items[at : at + 1] if IS_APART else items[at:], failed)
        self.run_alone(failed)

    def run_some(self, items, failed):
        """Runs tests in one child for as long as it lives; how many had their turn."""
        child = Child(lambda send: self.work(items, send))
        try:
            for at, item in enumerate(items):
                hook = item.ihook
                self.stream.tell({"started": plain(item.nodeid)})
                if at and not child.go_on():
                    return at
                hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
                reply, reports = self.wait(child, item)
                is_whole = reply is not None and not reply["is_late"]
                if is_whole and any(is_failed(report) for report in reports):
                    failed.append(item)
                self.stream.end(item.nodeid, reports)
                for report in reports:
                    hook.pytest_runtest_logreport(report=report)
                # Not before pytest 3.4.
                if hasattr(hook, "pytest_runtest_logfinish"):
                    hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
                if not is_whole:
                    return at + 1
                if at + 1 == len(items) or file_of(items[at + 1]) != file_of(item):
                    self.run_alone(failed)
            return len(items)
        finally:
            child.stop()

    def run_alone(self, items):
        """Tests that failed beside others: the others may be the reason. Of a file whose
        tests fail alone too, the rest is believed."""
        believed = collections.Counter()
        while items and not IS_APART:
            item = items.pop(0)
            file = file_of(item)
            if believed[file] == ALONE_MAX:
                continue
            child = Child(lambda send, item=item: self.work([item], send))
            try:
                _, reports = self.wait(child, item)
            finally:
                child.stop()
            self.stream.end_alone(item.nodeid, reports)
            if any(is_failed(report) for report in reports):
                believed[file] += 1

    def wait(self, child, item):
        """A test's reply, if it has one, and its reports."""
        started = time.time()
        reply, why = child.reply(seconds_of(item), GRACE_SECONDS)
        if reply is None:
            return None, [no_result(item, why, captured(item.config), started)]
        if self.coverage is not None:
            self.coverage.add(reply["ran"])
        return reply, [report_of(item.config, data) for data in reply["reports"]]

    def work(self, items, send):
        """In the child: tests with their fixtures, each torn down where no later one needs
        it. Code that an alarm broke off may leave anything behind: no test runs after it."""
        os.close(self.stream.file)
        signal.signal(signal.SIGALRM, self.ring)
        self.is_late = False
        for item, following in zip(items, items[1:] + [None]):
            self.reports = []
            ALARM.set(seconds_of(item))
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
            ALARM.set(0)
            send(
                {
                    "reports": [data_of(item.config, report) for report in self.reports],
                    "ran": self.coverage.ran() if self.coverage is not None else {},
                    "is_late": self.is_late,
                }
            )
            if self.is_late:
                return

    def ring(self, signum, frame):
        self.is_late = True
        ALARM.ring(signum, frame)


def file_of(item):
    return plain(item.nodeid).split("::")[0]


class Protocol:
    """The plugin that is asked first to run the tests, and each of them."""

    def __init__(self, isolation):
        self.isolation = isolation

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session):
        if session.config.option.collectonly:
            return None
        self.isolation.run_all(session.items)
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item, nextitem):
        self.isolation.reports += runtestprotocol(item, log=False, nextitem=nextitem)
        return True
