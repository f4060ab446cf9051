"""The limit on the import of a file, and on whatever is between imports."""

import faulthandler
import os
import signal
import traceback

import pytest

from egss_pytest.reports import CollectReport
from egss_pytest.request import (
    END_SECONDS,
    GRACE_SECONDS,
    REPEAT_SECONDS,
    SECONDS,
    START_SECONDS,
    SUITE,
    SUITE_FACTOR,
)
from egss_pytest.stream import TIME_LIMIT, plain


class TimeLimit(BaseException):
    """Not an `Exception`, so that `except Exception` lets it through."""


def too_long(seconds):
    return f"{TIME_LIMIT} took longer than {seconds:g} s"


def seconds_of(item):
    """The limit of a test. Tests of the suite are few, and decide more than others."""
    is_of_suite = plain(item.nodeid).split("::")[0] == SUITE
    return SUITE_FACTOR * SECONDS if is_of_suite else SECONDS


class Alarm:
    """Raises in whatever runs when its limit is over."""

    def __init__(self):
        self.seconds = SECONDS

    def set(self, seconds, again=0):
        """Rings after `seconds`, and from then on every `again` seconds; 0 sets it off."""
        self.seconds = seconds or self.seconds
        signal.setitimer(signal.ITIMER_REAL, seconds, again)

    def ring(self, signum, frame):
        raise TimeLimit(too_long(self.seconds))


ALARM = Alarm()


# As pytest captures the one that is there now.
STDERR = os.dup(2)


def watch(seconds):
    """Ends this process when the time is over, whatever it does then."""
    faulthandler.dump_traceback_later(seconds, exit=True, file=STDERR)


def is_one_file(collector):
    """Whether one file is imported for it. A package, which is a module to pytest before 8, holds
    several."""
    package = getattr(pytest, "Package", ())
    return isinstance(collector, pytest.Module) and not isinstance(collector, package)


class Limits:
    """The plugin for collection: importing one file has a limit."""

    def __init__(self, stream):
        self.stream = stream

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_make_collect_report(self, collector):
        # A container's collection asks for its files' paths only, and in some
        # versions holds theirs: the limit is on importing one file.
        if not is_one_file(collector):
            yield
            return
        self.stream.tell({"importing": plain(collector.nodeid)})
        signal.signal(signal.SIGALRM, ALARM.ring)
        ALARM.set(SECONDS, REPEAT_SECONDS)
        watch(SECONDS + REPEAT_SECONDS + GRACE_SECONDS)
        try:
            outcome = yield
        finally:
            ALARM.set(0)
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
        if not is_one_file(collector):
            return None
        is_doctest = type(collector).__name__.startswith("Doctest")
        self.stream.tell({"file": {"id": plain(collector.nodeid), "is_doctest": is_doctest}})
        return CollectReport(collector.nodeid, "passed", None, [])


# Exceptions that end a session of pytest when an import raises them.
ENDS = (SystemExit, KeyboardInterrupt, pytest.exit.Exception)
