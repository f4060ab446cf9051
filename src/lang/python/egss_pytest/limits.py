"""The limit on the import of a file, and on whatever is between imports."""

import faulthandler
import os
import signal
import traceback

import pytest

from egss_pytest.reports import CollectReport
from egss_pytest.request import END_SECONDS, GRACE_SECONDS, REPEAT_SECONDS, SECONDS, START_SECONDS
from egss_pytest.stream import TIME_LIMIT, plain


class TimeLimit(BaseException):
    """Not an `Exception`, so that `except Exception` lets it through."""


def too_long():
    return f"{TIME_LIMIT} took longer than {SECONDS:g} s"


def alarm(signum, frame):
    raise TimeLimit(too_long())


# As pytest captures the one that is there now.
STDERR = os.dup(2)


def watch(seconds):
    """Ends this process when the time is over, whatever it does then."""
    faulthandler.dump_traceback_later(seconds, exit=True, file=STDERR)


class Limits:
    """The plugin for collection: importing one file has a limit."""

    def __init__(self, stream):
        self.stream = stream

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_make_collect_report(self, collector):
        # A container's collection asks for its files' paths only, and in some
        # versions holds theirs: the limit is on importing one file.
        if not isinstance(collector, pytest.Module):
            yield
            return
        self.stream.tell({"importing": plain(collector.nodeid)})
        signal.signal(signal.SIGALRM, alarm)
        signal.setitimer(signal.ITIMER_REAL, SECONDS, REPEAT_SECONDS)
        watch(SECONDS + REPEAT_SECONDS + GRACE_SECONDS)
        try:
            outcome = yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            watch(START_SECONDS)
        self.stream.tell({"imported": plain(collector.nodeid)})
        if outcome.excinfo is not None and issubclass(outcome.excinfo[0], ENDS):
            # It would end the session; the fault is the file's.
            why = "".join(traceback.format_exception_only(*outcome.excinfo[:2])).strip()
            report = CollectReport(collector.nodeid, "failed", why, [])
            outcome.force_result(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectreport(self, report):
        if not report.passed and report.nodeid:
            self.stream.end(report.nodeid, [report])

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtestloop(self):
        faulthandler.cancel_dump_traceback_later()
        yield
        self.stream.finish()
        watch(END_SECONDS)


class FilesOnly:
    """The plugin that tells each file of tests in the place of importing it."""

    def __init__(self, stream):
        self.stream = stream

    @pytest.hookimpl(tryfirst=True)
    def pytest_make_collect_report(self, collector):
        if not isinstance(collector, pytest.Module):
            return None
        is_doctest = type(collector).__name__.startswith("Doctest")
        self.stream.tell({"file": {"id": plain(collector.nodeid), "is_doctest": is_doctest}})
        return CollectReport(collector.nodeid, "passed", None, [])


# Exceptions that end a session of pytest when an import raises them.
ENDS = (SystemExit, KeyboardInterrupt, pytest.exit.Exception)
