"""A process that answers with one line of JSON."""

import json
import os
import select
import signal
import sys
import time
import traceback
import warnings

from egss_pytest.limits import TimeLimit, too_long
from egss_pytest.request import LOOK_SECONDS
from egss_pytest.stream import NO_RESULT, write


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
        # The process too: a test may have put itself into another group.
        for kill in (os.killpg, os.kill):
            try:
                kill(self.pid, signal.SIGKILL)
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
            return None, f"{NO_RESULT} its process {self.end()} before it had one"
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
                why = f"{NO_RESULT} {why}"
            reply = {"died": why}
        # A process that the test itself forked comes by here too.
        if os.getpid() == own:
            write(end, json.dumps(reply, default=repr).encode() + b"\n")
    finally:
        os._exit(0)
