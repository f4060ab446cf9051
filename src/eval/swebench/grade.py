"""Grades the log of a test run by the package `swebench`.

Called as `python3 -I -B THIS REQUEST REPLY`. REQUEST is a JSON file with `instance_id`,
`repo`, `version`, `fail_to_pass`, `pass_to_pass` and `log` (a path). REPLY gets `{"ran",
"resolved", "fail_to_pass": {"success", "failure"}, "pass_to_pass": {...}, "n_tests"}`.
"""

import dataclasses
import json
import sys

from swebench.harness.grading import get_eval_report, get_logs_eval
from swebench.harness.test_spec.test_spec import TestSpec


def spec_of(request):
    """A test spec whose scripts, which nothing here runs, are left out."""
    known = {
        "instance_id": request["instance_id"],
        "repo": request["repo"],
        "version": request["version"],
        "FAIL_TO_PASS": request["fail_to_pass"],
        "PASS_TO_PASS": request["pass_to_pass"],
    }
    fields = {field.name: known.get(field.name) for field in dataclasses.fields(TestSpec)}
    return TestSpec(**fields)


def main(request_path, reply_path):
    with open(request_path, encoding="utf-8") as file:
        request = json.load(file)
    spec = spec_of(request)
    prediction = {"instance_id": spec.instance_id, "model_patch": "", "model_name_or_path": ""}
    report = get_eval_report(spec, prediction, request["log"], include_tests_status=True)
    report = report[spec.instance_id]
    statuses, ran = get_logs_eval(spec, request["log"])
    tests = report.get("tests_status", {})
    none = {"success": [], "failure": []}
    reply = {
        "ran": ran,
        "resolved": report["resolved"],
        "fail_to_pass": tests.get("FAIL_TO_PASS", none),
        "pass_to_pass": tests.get("PASS_TO_PASS", none),
        "n_tests": len(statuses),
    }
    with open(reply_path, "w", encoding="utf-8") as file:
        json.dump(reply, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
