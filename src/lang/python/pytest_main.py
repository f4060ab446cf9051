"""Runs pytest: each test in a process of its own, within a time limit.

Called as `python3 -B -c THIS SECONDS COVERAGE ARGUMENT...`, in the directory
under test. The process that collected forks a child for each test and takes
its reports back as JSON through a pipe: nothing that a test does to memory, to
the environment or to the working directory reaches another, and a test that
crashes or hangs is the only one that fails.

In the child a limit raises by SIGALRM, so that its traceback says where the
time went; code that swallows it is killed with its process group a little
later. Files are imported in the first process, under the alarm alone: code that
swallows that one is stopped by the outer limit of whoever called.

Runs with pytest 3.3 and later, under Python 3.6 and later: the version is the
repository's choice.

COVERAGE is empty, or the path of a JSON file `{"changed": {path: [line]}}`: the
lines whose running is counted. The reply, `{"lines", "covered"}`, takes its
place.
"""

import json
import os
import re
import select
import signal
import sys
import time
import traceback
import warnings

ROOT = os.getcwd()
# The directory under test must not be able to stand in for the runner.
sys.path[:] = [entry for entry in sys.path if entry not in ("", ROOT)]
import pytest  # noqa: E402
from _pytest.runner import runtestprotocol  # noqa: E402

try:
    from _pytest.reports import TestReport
except ImportError:
    # Before pytest 3.6.
    from _pytest.runner import TestReport

SECONDS = float(sys.argv[1])
COVERAGE = sys.argv[2]
# The alarm comes again after the limit, for imports that swallow the first one.
REPEAT_SECONDS = 1.0
# What a test gets beyond the limit for its tear-down, before it is killed.
GRACE_SECONDS = 1.0
# How soon a child is missed that ended without closing its pipe.
LOOK_SECONDS = 0.05


class TimeLimit(BaseException):
    """Not an `Exception`, so that `except Exception` lets it through."""


def too_long():
    return f"egss-time-limit: took longer than {SECONDS:g} s"


def alarm(signum, frame):
    raise TimeLimit(too_long())


class Limits:
    """The plugin for collection: importing one file has a limit."""

    @pytest.hookimpl(hookwrapper=True)
    def pytest_make_collect_report(self, collector):
        # A container's collection asks for its files' paths only, and in some
        # versions holds theirs: the limit is on importing one file.
        if not isinstance(collector, pytest.Module):
            yield
            return
        signal.signal(signal.SIGALRM, alarm)
        signal.setitimer(signal.ITIMER_REAL, SECONDS, REPEAT_SECONDS)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


class Isolation:
    """The plugin that runs each test in a child, fixtures of every scope included."""

    def __init__(self, coverage):
        self.coverage = coverage
        # Reports that a plugin logs by itself in a child: those of subtests.
        self.logged = None

    def pytest_collection_finish(self, session):
        # Made once: each child would make a base folder of its own.
        factory = getattr(session.config, "_tmp_path_factory", None)
        if factory is not None:
            factory.getbasetemp()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report):
        if self.logged is not None:
            self.logged.append(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item):
        hook = item.ihook
        hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in self.reports(item):
            hook.pytest_runtest_logreport(report=report)
        # Not before pytest 3.4.
        if hasattr(hook, "pytest_runtest_logfinish"):
            hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

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
        self.logged = []
        signal.signal(signal.SIGALRM, alarm)
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        reports = runtestprotocol(item, log=False, nextitem=None)
        signal.setitimer(signal.ITIMER_REAL, 0)
        return {
            "reports": [data_of(item.config, report) for report in self.logged + reports],
            "ran": self.coverage.ran() if self.coverage is not None else {},
        }


class Child:
    """A forked process that sends one line of JSON."""

    def __init__(self, work):
        # A plugin may have set an alarm for the test: it is not this process's.
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.stdout.flush()
        sys.stderr.flush()
        self.pipe, end = os.pipe()
        with warnings.catch_warnings():
            # Threads that an import started are not in the child.
            warnings.simplefilter("ignore")
            self.pid = os.fork()
        if self.pid == 0:
            os.close(self.pipe)
            run_and_exit(work, end)
        os.close(end)
        self.status = None

    def wait(self, seconds):
        """The reply, or `None` and why there is none. Nothing of it is left running."""
        deadline = time.monotonic() + seconds
        line, is_late = self.read(deadline)
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        if not self.has_ended(0):
            self.has_ended(None)
        os.close(self.pipe)
        if is_late:
            return None, too_long()
        try:
            reply = json.loads(line)
        except ValueError:
            return None, f"egss-no-result: its process {self.end()} before it had one"
        return (reply, None) if "reports" in reply else (None, reply["died"])

    def read(self, deadline):
        data = bytearray()
        poll = select.poll()
        poll.register(self.pipe, select.POLLIN)
        while not data.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0:
                return bytes(data), True
            if poll.poll(1000 * min(left, LOOK_SECONDS)):
                chunk = os.read(self.pipe, 1 << 16)
                if not chunk:
                    break
                data += chunk
            elif self.has_ended(0) and not poll.poll(0):
                # A process that it left behind holds the pipe.
                break
        return bytes(data), False

    def has_ended(self, wait):
        """Whether it has; with `wait` `None`, once it has."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG if wait == 0 else 0)
            if pid:
                self.status = status
        return self.status is not None

    def end(self):
        code = os.WEXITSTATUS(self.status) if os.WIFEXITED(self.status) else None
        if code is not None:
            return f"ended with status {code}"
        return f"died of signal {os.WTERMSIG(self.status)}"


def run_and_exit(work, end):
    """Never returns, whatever `work` does."""
    own = os.getpid()
    try:
        os.setpgid(0, 0)
        try:
            reply = work()
        except BaseException as error:
            why = "".join(traceback.format_exception_only(type(error), error)).strip()
            if not isinstance(error, TimeLimit):
                why = f"egss-no-result: {why}"
            reply = {"died": why}
        # A process that the test itself forked comes by here too.
        if os.getpid() == own:
            data = json.dumps(reply, default=repr).encode() + b"\n"
            while data:
                data = data[os.write(end, data) :]
    finally:
        os._exit(0)


def captured(config):
    """What a test that was killed had printed; else the next would be said to have."""
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is None:
        return []
    if hasattr(capture, "read_global_capture"):
        printed = capture.read_global_capture() if capture.is_globally_capturing() else ("", "")
    else:
        # Before pytest 3.7: what was captured is told when the capture is suspended.
        printed = capture.suspend_global_capture() or ("", "")
        capture.resume_global_capture()
    texts = zip(("stdout", "stderr"), printed)
    return [(f"Captured {name} call", text) for name, text in texts if text]


def no_result(item, why, sections, started):
    stop = time.time()
    return TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords={},
        outcome="failed",
        longrepr=why,
        when="call",
        sections=sections,
        duration=stop - started,
        start=started,
        stop=stop,
    )


def data_of(config, report):
    """A report as JSON."""
    if hasattr(config.hook, "pytest_report_to_serializable"):
        return config.hook.pytest_report_to_serializable(config=config, report=report)
    # Before pytest 4.4: what its reporters read.
    data = {name: getattr(report, name) for name in REPORT_FIELDS if hasattr(report, name)}
    data["keywords"] = dict.fromkeys(report.keywords, 1)
    if report.longrepr is not None and not isinstance(report.longrepr, (str, tuple)):
        crash = getattr(report.longrepr, "reprcrash", None)
        text = str(report.longrepr)
        data["longrepr"] = {"text": text, "message": getattr(crash, "message", text)}
    return data


def report_of(config, data):
    # JSON has no tuples; pytest asks for them in these places.
    for name in ("longrepr", "location"):
        if isinstance(data.get(name), list):
            data[name] = tuple(data[name])
    if hasattr(config.hook, "pytest_report_from_serializable"):
        return config.hook.pytest_report_from_serializable(config=config, data=data)
    if isinstance(data["longrepr"], dict):
        data["longrepr"] = Told(**data["longrepr"])
    return TestReport(**data)


# Fields of a test's report that reporters of pytest before 4.4 read.
REPORT_FIELDS = (
    "nodeid",
    "location",
    "outcome",
    "longrepr",
    "when",
    "sections",
    "duration",
    "user_properties",
    "wasxfail",
)


class Told:
    """A failure as its text, in the place of pytest's own representation."""

    def __init__(self, text, message):
        self.text = text
        self.message = message

    @property
    def reprcrash(self):
        return self

    def __str__(self):
        return self.text

    def toterminal(self, terminal):
        terminal.line(self.text)


class Coverage:
    """Counts which of some lines are run, in this process and in the children."""

    def __init__(self, place):
        import coverage

        with open(place, encoding="utf-8") as file:
            changed = json.load(file)["changed"]
        self.place = place
        self.changed = {os.path.realpath(path): set(lines) for path, lines in changed.items()}
        self.seen = {path: set() for path in self.changed}
        self.tool = coverage.Coverage(
            data_file=None, config_file=False, include=list(self.changed), messages=False
        )
        self.tool.start()

    def ran(self):
        """The lines that this process has run so far."""
        self.tool.stop()
        data = self.tool.get_data()
        return {path: sorted(data.lines(path) or []) for path in self.changed}

    def add(self, ran):
        for path, lines in ran.items():
            self.seen[path].update(lines)

    def finish(self):
        self.add(self.ran())
        lines = covered = 0
        for path, changed in self.changed.items():
            try:
                executable = set(self.tool.analysis2(path)[1])
            except Exception:
                # No Python that parses: nothing of it can be run.
                continue
            lines += len(changed & executable)
            covered += len(changed & executable & self.seen[path])
        with open(self.place, "w", encoding="utf-8") as file:
            json.dump({"lines": lines, "covered": covered}, file)


def version():
    """Of pytest. A repository's own may have any name: it counts as a new one."""
    found = re.match(r"(\d+)\.(\d+)", pytest.__version__)
    return (int(found.group(1)), int(found.group(2))) if found else (99, 0)


def main():
    coverage = Coverage(COVERAGE) if COVERAGE else None
    # What the tests import: the root, and `src` where that is a layout and not a package.
    sys.path.insert(0, ROOT)
    src = os.path.join(ROOT, "src")
    if os.path.isdir(src) and not os.path.exists(os.path.join(src, "__init__.py")):
        sys.path.insert(1, src)
    arguments = sys.argv[3:]
    if version() < (3, 5):
        # Without this option the root is the folder above all tests with a configuration,
        # else the working directory.
        arguments = [argument for argument in arguments if not argument.startswith("--rootdir")]
    status = pytest.main(arguments, plugins=[Limits(), Isolation(coverage)])
    if coverage is not None:
        coverage.finish()
    sys.exit(status)


if __name__ == "__main__":
    main()
