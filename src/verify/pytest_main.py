"""Runs pytest with a time limit on each test and on each file's collection.

Called as `python3 -B -c THIS SECONDS ARGUMENT...`, in the directory under
test. A limit raises in the main thread by SIGALRM, so that one hanging test
fails and the others still run; code that swallows it is stopped by the outer
limit of whoever called.
"""

import os
import signal
import sys

ROOT = os.getcwd()
# The directory under test must not be able to stand in for the runner.
sys.path[:] = [entry for entry in sys.path if entry not in ("", ROOT)]
import pytest

SECONDS = float(sys.argv[1])
# The alarm comes again after the limit, for code that swallows the first one.
REPEAT_SECONDS = 1.0


class TimeLimit(BaseException):
    """Not an `Exception`, so that `except Exception` lets it through."""


def alarm(signum, frame):
    raise TimeLimit(f"egss-time-limit: took longer than {SECONDS:g} s")


def limited():
    """The body of a hook wrapper: what it wraps runs under the limit."""
    signal.signal(signal.SIGALRM, alarm)
    signal.setitimer(signal.ITIMER_REAL, SECONDS, REPEAT_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


class Limits:
    """The plugin: collection, set-up, call and tear-down have a limit each."""

    @pytest.hookimpl(hookwrapper=True)
    def pytest_make_collect_report(self, collector):
        # A container's collection asks for its files' paths only, and in some
        # versions holds theirs: the limit is on importing one file.
        if isinstance(collector, pytest.Module):
            yield from limited()
        else:
            yield

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_setup(self, item):
        yield from limited()

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_call(self, item):
        yield from limited()

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_teardown(self, item):
        yield from limited()


if __name__ == "__main__":
    # What the tests import: the root, and `src` where that is a layout and not a package.
    sys.path.insert(0, ROOT)
    src = os.path.join(ROOT, "src")
    if os.path.isdir(src) and not os.path.exists(os.path.join(src, "__init__.py")):
        sys.path.insert(1, src)
    sys.exit(pytest.main(sys.argv[2:], plugins=[Limits()]))
