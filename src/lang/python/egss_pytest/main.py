"""One session of pytest."""

import os
import sys
import traceback

import pytest

from egss_pytest.isolation import Isolation
from egss_pytest.limits import FilesOnly, Limits, watch
from egss_pytest.lines import Coverage
from egss_pytest.options import Options, version
from egss_pytest.request import ASKED, FILES_ONLY, PRIVATE, ROOT, START_SECONDS
from egss_pytest.stream import Stream

# pytest's exit status for a command line that it does not take.
USAGE_ERROR = 4


def main(arguments):
    coverage = Coverage(ASKED["changed"]) if ASKED["changed"] else None
    # Places that tests import from: the root, and `src` where it is a layout and no package.
    sys.path.insert(0, ROOT)
    src = os.path.join(ROOT, "src")
    if os.path.isdir(src) and not os.path.exists(os.path.join(src, "__init__.py")):
        sys.path.insert(1, src)
    if version() < (3, 5):
        # Without this option the root is the folder above all tests with a configuration,
        # else the working directory.
        arguments = [argument for argument in arguments if not argument.startswith("--rootdir")]
    # The project may use the cache: an empty one, which nobody reads again.
    arguments += ["-o", "cache_dir=" + os.path.join(PRIVATE, "cache")]
    stream = Stream()
    watch(START_SECONDS)
    status = 1
    try:
        plugins = [Options(stream), Limits(stream), Isolation(coverage, stream)]
        if FILES_ONLY:
            plugins.append(FilesOnly(stream))
        status = int(pytest.main(arguments, plugins=plugins))
        if coverage is not None:
            coverage.finish()
    except BaseException as error:
        traceback.print_exc()
        if isinstance(error, SystemExit) and not stream.has_tests:
            # In old versions the parser of options ends the process by itself.
            status = USAGE_ERROR
    for shown in (sys.stdout, sys.stderr):
        try:
            shown.flush()
        except (OSError, ValueError):
            pass
    # Threads that an import or a plugin left behind do not keep this alive.
    os._exit(status)
