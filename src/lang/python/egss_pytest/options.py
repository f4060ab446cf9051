"""The project's own options, and the targets."""

import copy
import fnmatch
import glob
import os
import re

import pytest
from _pytest.config import Config, PytestPluginManager

from egss_pytest.request import ASKED, ROOT, SUITE, TARGETS
from egss_pytest.stream import plain

# Options by the name of their value, with the value that they have where they are not given,
# and a name to tell. They stop early, leave tests out for what an earlier run said, only look,
# wait for a person, take the running of tests over, or write where others read.
SET_BACK = (
    ("maxfail", 0, "-x/--maxfail"),
    ("stepwise", False, "--stepwise"),
    ("stepwise_skip", False, "--stepwise-skip"),
    ("lf", False, "--last-failed"),
    ("failedfirst", False, "--failed-first"),
    ("newfirst", False, "--new-first"),
    ("cacheshow", None, "--cache-show"),
    ("collectonly", False, "--collect-only"),
    ("setuponly", False, "--setup-only"),
    ("setupplan", False, "--setup-plan"),
    ("showfixtures", False, "--fixtures"),
    ("show_fixtures_per_test", False, "--fixtures-per-test"),
    ("markers", False, "--markers"),
    ("usepdb", False, "--pdb"),
    ("trace", False, "--trace"),
    ("numprocesses", None, "--numprocesses"),
    ("dist", "no", "--dist"),
    ("distload", False, "-d"),
    ("tx", [], "--tx"),
    ("looponfail", False, "--looponfail"),
    ("forked", False, "--forked"),
    ("cov_source", [], "--cov"),
    ("xmlpath", None, "--junitxml"),
    ("pastebin", None, "--pastebin"),
    ("basetemp", None, "--basetemp"),
)
# Options of the same kind that act while the others are still being read.
LEFT_OUT = ("-h", "--help", "-V", "--version", "--debug")
# Ways to show a failure that leave out the lines that say what failed.
TERSE = ("no", "line", "native")


def set_back(options, stream):
    for name, value, option in SET_BACK:
        given = getattr(options, name, value)
        if given != value:
            setattr(options, name, value)
            if given:
                stream.drop(option)
    options.collectonly = bool(ASKED["collect_only"])
    if getattr(options, "tbstyle", None) in TERSE:
        options.tbstyle = "auto"


class Options:
    """The plugin that keeps the project's options as far as they can be kept."""

    def __init__(self, stream):
        self.stream = stream
        self.has_unknown = False
        getini = Config.getini
        consider = PytestPluginManager.consider_pluginarg

        def own_getini(config, name):
            found = getini(config, name)
            if name != "addopts":
                return found
            for word in found:
                if word in LEFT_OUT:
                    stream.drop(word)
            return [word for word in found if word not in LEFT_OUT]

        def own_consider(manager, argument):
            try:
                consider(manager, argument)
            except (ImportError, pytest.UsageError) as error:
                # The second one since pytest 9.
                why = str(error).splitlines()[0]
                if not why.startswith("Error importing plugin"):
                    raise
                stream.drop(f"-p {argument} ({why})")

        Config.getini = own_getini
        PytestPluginManager.consider_pluginarg = own_consider

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_load_initial_conftests(self, early_config, parser, args):
        known = getattr(early_config, "known_args_namespace", None)
        if known is not None:
            set_back(known, self.stream)
            if TARGETS is not None:
                # Of these the conftest files are read first, as if they were named on the
                # command line.
                known.file_or_dir = list(unique(file_of(target) for target in TARGETS))
        yield
        # Now every plugin has said its options: a project may ask for one that is not
        # installed.
        try:
            _, unknown = parser.parse_known_and_unknown_args(
                args, namespace=copy.copy(early_config.option)
            )
        except (Exception, SystemExit):
            return
        for word in unknown:
            if word in args:
                args.remove(word)
            if word.startswith("-"):
                self.has_unknown = True
                self.stream.drop(f"{word} (no plugin that is installed has it)")

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_cmdline_main(self, config):
        set_back(config.option, self.stream)
        if TARGETS is not None:
            config.option.pyargs = False
            # The names are arguments here, and never options.
            config.args = self.present()
        elif self.has_unknown:
            # The value of an option that nobody knows is taken for a path.
            is_path = [os.path.exists(file_of(word)) for word in config.args]
            kept = [word for word, there in zip(config.args, is_path) if there]
            config.args = kept or testpaths(config)
        config.option.file_or_dir = config.args
        yield

    def present(self):
        """The targets that are there; the others are told as errors."""
        found = []
        for target in TARGETS:
            if os.path.lexists(file_of(target)):
                found.append(os.path.join(ROOT, target))
            else:
                text = "there is no such file"
                told = {"id": target, "result": "error", "message": "", "text": text, "ms": 0}
                self.stream.tell({"ended": told})
        return found

    @pytest.hookimpl(hookwrapper=True)
    def pytest_collect_file(self, parent):
        """Named on the command line, a file is a test module whatever it is called. One
        that the project has for its documentation's tests is none."""
        outcome = yield
        found = outcome.get_result()
        kinds = [type(collector).__name__ for collector in found or ()]
        if TARGETS is None or "Module" not in kinds or len(kinds) < 2:
            return
        path = found[kinds.index("Module")].nodeid
        if path != SUITE and not matches(path, parent.config.getini("python_files")):
            outcome.force_result([one for one in found if type(one).__name__ != "Module"])

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, config, items):
        suite = [item for item in items if file_of(item.nodeid) == SUITE]
        yield
        kept = set(items)
        items[:0] = [item for item in suite if item not in kept]
        done = set(ASKED["done"])
        items[:] = [item for item in items if plain(item.nodeid) not in done]
        if TARGETS is None or any("::" in target for target in TARGETS):
            return
        # In some versions the file of a package stands for all of the package.
        if version() >= (3, 5):
            files = set(os.path.normpath(target) for target in TARGETS)
            items[:] = [item for item in items if file_of(item.nodeid) in files]


def file_of(nodeid):
    return nodeid.split("::")[0]


def unique(names):
    seen = set()
    for name in names:
        if name not in seen:
            seen.add(name)
            yield name


def matches(path, patterns):
    for pattern in patterns:
        if "/" in pattern:
            if fnmatch.fnmatch("/" + path, "*/" + pattern):
                return True
        elif fnmatch.fnmatch(os.path.basename(path), pattern):
            return True
    return False


def testpaths(config):
    """Where the project's tests are, as pytest reads it where no path is given."""
    found = []
    for pattern in config.getini("testpaths"):
        found.extend(sorted(glob.glob(pattern, recursive=True)))
    return found or [ROOT]


def version():
    """Of pytest. A repository's own may have any name: it counts as a new one."""
    found = re.match(r"(\d+)\.(\d+)", pytest.__version__)
    return (int(found.group(1)), int(found.group(2))) if found else (99, 0)
