"""Reports of tests, as JSON and back, in the versions of pytest."""

import time

try:
    from _pytest.reports import CollectReport, TestReport
except ImportError:
    # Before pytest 3.6.
    from _pytest.runner import CollectReport, TestReport

__all__ = ["CollectReport", "captured", "data_of", "no_result", "report_of"]


def captured(config):
    """The output of a test that was killed; else the next would be said to have."""
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
