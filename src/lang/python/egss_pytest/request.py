"""The request, and limits that follow from it."""

import json
import os
import sys

ROOT = os.getcwd()
PRIVATE = os.path.abspath(sys.argv[1])
with open(os.path.join(PRIVATE, "request.json"), encoding="utf-8") as request:
    ASKED = json.load(request)
SECONDS = float(ASKED["test_s_max"])
# How long plugins, conftest files and hooks may take between two imports of test files.
START_SECONDS = float(ASKED["start_s_max"])
TARGETS = ASKED["targets"]
SUITE = ASKED["suite"]
# Only the files that hold tests are looked for; none is imported.
FILES_ONLY = ASKED.get("files_only", False)
# Each test in a process of its own from the start.
IS_APART = ASKED.get("apart", False)
# A test of the suite may take so many times the limit of others.
SUITE_FACTOR = 4
# The alarm comes again after the limit, for imports that swallow the first one.
REPEAT_SECONDS = 1.0
# The time that a test gets beyond the limit for its tear-down, before it is killed.
GRACE_SECONDS = 1.0
# Tests of a file that failed alone too, before the rest of its failures is believed.
ALONE_MAX = 5
# How soon a child is missed that ended without closing its pipe.
LOOK_SECONDS = 0.05
# The time that a session gets for its end, once all tests have ended.
END_SECONDS = 10.0
