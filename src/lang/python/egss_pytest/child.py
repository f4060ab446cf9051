"""A process that answers with lines of JSON."""

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
    """A forked process that sends a line of JSON for each thing that it did, and waits for word
    before it does the next: what it does then is known while it does it."""

    def __init__(self, work):
        """`work(send)` runs in it; `send` takes what becomes a line."""
        # A plugin may have set an alarm for the test: it is not this process's.
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.stdout.flush()
        sys.stderr.flush()
        self.pipe, end = os.pipe()
        word, self.word = os.pipe()
        with warnings.catch_warnings():
            # Threads that an import started are not in the child.
            warnings.simplefilter("ignore")
            self.pid = os.fork()
        if self.pid == 0:
            os.close(self.pipe)
            os.close(self.word)
            run_and_exit(work, end, word)
        os.close(end)
        os.close(word)
        self.status = None
        self.data = bytearray()

    def go_on(self):
        """Lets it do the next thing; false if it was no longer there to begin it."""
        # Asked before the word: one that has the word may end by the thing that it does.
        if self.has_ended(0):
            return False
        try:
            os.write(self.word, b"\n")
        except OSError:
            return False
        return True

    def reply(self, seconds, grace_seconds):
        """The next line, or `None` and why there is none."""
        line, is_late = self.line(time.monotonic() + seconds + grace_seconds)
        if is_late:
            return None, too_long(seconds)
        try:
            reply = json.loads(line)
        except ValueError:
            self.has_ended(1)
            return None, f"{NO_RESULT} its process {self.end()} before it had one"
        return (reply, None) if "reports" in reply else (None, reply["died"])

    def line(self, deadline):
        poll = select.poll()
        poll.register(self.pipe, select.POLLIN)
        while b"\n" not in self.data:
            left = deadline - time.monotonic()
            if left <= 0:
                return b"", True
            if poll.poll(1000 * min(left, LOOK_SECONDS)):
                chunk = os.read(self.pipe, 1 << 16)
                if not chunk:
                    break
                self.data += chunk
            elif self.has_ended(0) and not poll.poll(0):
                # A process that it left behind holds the pipe.
                break
        line, _, rest = bytes(self.data).partition(b"\n")
        self.data = bytearray(rest)
        return line, False

    def stop(self):
        """Leaves nothing of it running."""
        # The process too: a test may have put itself into another group.
        for kill in (os.killpg, os.kill):
            try:
                kill(self.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
        self.has_ended(None)
        os.close(self.pipe)
        os.close(self.word)

    def has_ended(self, seconds):
        """Whether it has, within that time; with `None`, once it has."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while self.status is None:
            pid, status = os.waitpid(self.pid, 0 if deadline is None else os.WNOHANG)
            if pid:
                self.status = status
            elif time.monotonic() >= deadline:
                break
            else:
                time.sleep(0.001)
        return self.status is not None

    def end(self):
        if self.status is None:
            return "closed its pipe"
        code = os.WEXITSTATUS(self.status) if os.WIFEXITED(self.status) else None
        if code is not None:
            return f"ended with status {code}"
        return f"died of signal {os.WTERMSIG(self.status)}"


def run_and_exit(work, end, word):
    """Never returns, whatever `work` does."""
    own = os.getpid()

    def send(reply):
        # A process that a test itself forked comes by here too.
        if os.getpid() != own:
            os._exit(0)
        write(end, json.dumps(reply, default=repr).encode() + b"\n")
        # Nothing comes where the process that it belongs to is gone.
        if not os.read(word, 1):
            os._exit(0)

    try:
        os.setpgid(0, 0)
        try:
            work(send)
        except BaseException as error:
            why = "".join(traceback.format_exception_only(type(error), error)).strip()
            if not isinstance(error, TimeLimit):
                why = f"{NO_RESULT} {why}"
            send({"died": why})
    finally:
        os._exit(0)
