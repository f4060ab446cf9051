"""Results of the tests so far, told line by line."""

import json
import os

from egss_pytest.request import PRIVATE

# The mark before the text of a test that came to no result of its own.
TIME_LIMIT = "egss-time-limit:"
NO_RESULT = "egss-no-result:"
# Characters of one failure that are told: its start and its end.
TEXT_CHARS_MAX = 100000


class Stream:
    """Results so far: lines that a killed process leaves behind.

    `{"dropped": option}`, `{"file": {"id", "is_doctest"}}`, `{"importing": file}`,
    `{"imported": file}`,
    `{"collected": {"ids", "doctests"}}`, `{"started": id}`,
    `{"ended": {"id", "result", "message", "text", "ms"}}`, the same as `"alone"` (of a test that
    failed beside others: what it came to without them), `{"finished": true}`.
    """

    def __init__(self):
        self.place = os.path.join(PRIVATE, "stream.jsonl")
        self.lines = []
        self.told = set()
        self.has_tests = False
        self.file = os.open(self.place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)

    def tell(self, said):
        self.has_tests = self.has_tests or "collected" in said
        line = (json.dumps(said) + "\n").encode()
        self.lines.append(line)
        write(self.file, line)

    def drop(self, option):
        if option not in self.told:
            self.told.add(option)
            self.tell({"dropped": plain(option)})

    def end(self, nodeid, reports):
        self.tell({"ended": outcome(nodeid, reports)})

    def end_alone(self, nodeid, reports):
        self.tell({"alone": outcome(nodeid, reports)})

    def finish(self):
        """Once no test runs any more: what one of them may have written here is gone."""
        self.tell({"finished": True})
        place = self.place + ".whole"
        whole = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        write(whole, b"".join(self.lines))
        os.close(whole)
        os.replace(place, self.place)


# From the best to the worst.
RESULTS = ("passed", "skipped", "failed", "error")


def outcome(nodeid, reports):
    """One test's outcome: the worst of what was reported of it."""
    told = {"id": plain(nodeid), "result": "passed", "message": "", "text": ""}
    told["ms"] = int(1000 * sum(getattr(report, "duration", 0) for report in reports))
    for report in reports:
        result = result_of(report)
        if RESULTS.index(result) > RESULTS.index(told["result"]):
            told["result"] = result
            told["message"], told["text"] = failure_of(report, result)
    return told


def is_failed(report):
    return result_of(report) in ("failed", "error")


def result_of(report):
    if report.outcome != "failed":
        return report.outcome
    said = str(report.longrepr)
    has_none = said.startswith((TIME_LIMIT, NO_RESULT)) or TIME_LIMIT in crash_of(report)
    is_call = getattr(report, "when", None) == "call"
    return "failed" if is_call and not has_none else "error"


def failure_of(report, result):
    if result not in ("failed", "error"):
        return "", ""
    # The file's own fault is in the text.
    message = crash_of(report) if hasattr(report, "when") else ""
    return short(bare(message)), short(bare(str(report.longrepr)))


def crash_of(report):
    """The line that pytest sums a failure up in; empty where there is none."""
    return str(getattr(getattr(report.longrepr, "reprcrash", None), "message", ""))


def bare(text):
    """Without the marks by which this package knows its own errors."""
    for mark in ("egss_pytest.limits.TimeLimit: " + TIME_LIMIT, TIME_LIMIT, NO_RESULT):
        text = text.replace(mark + " ", "")
    return text


def short(text):
    text = plain(text)
    if len(text) > TEXT_CHARS_MAX:
        text = text[: TEXT_CHARS_MAX // 2] + text[-TEXT_CHARS_MAX // 2 :]
    return text


def plain(text):
    """Text that JSON's readers take: names may hold bytes that are no text."""
    return str(text).encode("utf-8", "backslashreplace").decode()


def write(file, data):
    while data:
        data = data[os.write(file, data) :]
