//! The code under test may run on Python 3.6 or a newer one.
//!
//! Each test goes over the interpreters that are there and can import pytest: the one of
//! `.venv`, always; Python 3.6, 3.8, 3.9 and 3.13 as `.venv-3.N/bin/python`, as `python3.N` on
//! the `PATH`, or as pyenv's; and those that `EGSS_TEST_PYTHONS` names, as `PATH` names folders.
//! It says which were not found.
use crate::{engine, request, tools};
use egss::base::AgentProfile;
use egss::lang::{
    ChangedFile, RunnerLimits, SourceKind, TestSource, compile_faults, consolidate, of_path,
};
use egss::record::{SuiteCounts, TestResult};
use egss::search::{RunState, SolveRequest, solve, strategy_named};
use egss::verify::{OwnTests, TestRunner};
use egss::workspace::{Limits, Sandbox, SandboxMode};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Oldest, before `ast.unparse`, its first, and one whose library lacks what 3.6 has.
const MINORS: [u32; 4] = [6, 8, 9, 13];

const FILES: [(&str, &str); 3] = [
    ("shop/__init__.py", ""),
    ("shop/cart.py", CART),
    (
        "tests/test_cart.py",
        "from shop.cart import mean\n\n\ndef test_mean():\n    assert mean([4]) == 5\n",
    ),
];

const CART: &str = "\
import functools


def logged(function):
    @functools.wraps(function)
    def call(*args):
        return function(*args)

    return call


@logged
def total(xs):
    return sum(xs) + 1


def mean(xs):
    return 5


class Cart:
    def __init__(self, xs):
        self.xs = xs

    def total(self):
        return total(self.xs)
";

const ISSUE: &str = "\
`Cart` adds too much. This should hold:

    >>> Cart([1, 2]).total()
    3
    >>> math.sqrt(total([4]))
    2.0
";

/// An interpreter with pytest, and its minor version.
struct Python {
    program: PathBuf,
    minor: u32,
}

impl Python {
    /// `None` where it does not start or has no pytest.
    fn ask(program: &Path) -> Option<Self> {
        let code = "import sys, pytest; print(sys.version_info[1])";
        let output = Command::new(program).args(["-c", code]).output().ok()?;
        Some(Self {
            program: program.to_owned(),
            minor: String::from_utf8(output.stdout).ok()?.trim().parse().ok()?,
        })
    }

    fn sandbox(&self) -> Sandbox {
        Sandbox::new(SandboxMode::Bubblewrap, &self.program)
            .expect("scripts/setup installs bubblewrap, and a newer Python is beside an old one")
    }
}

fn of_minor(minor: u32) -> Option<Python> {
    let name = format!("python3.{minor}");
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut places = vec![own.join(format!(".venv-3.{minor}/bin/python"))];
    let path = std::env::var_os("PATH").unwrap_or_default();
    places.extend(std::env::split_paths(&path).map(|dir| dir.join(&name)));
    let pyenv = std::env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv/versions"));
    let versions = pyenv.and_then(|dir| dir.read_dir().ok());
    places.extend(
        versions
            .into_iter()
            .flatten()
            .flatten()
            .map(|version| version.path().join("bin").join(&name)),
    );
    let found = places.iter().find_map(|place| Python::ask(place));
    if found.is_none() {
        eprintln!("passed over: there is no Python 3.{minor} with pytest");
    }
    found
}

fn pythons() -> Vec<Python> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    let mut found = vec![Python::ask(&own).expect("scripts/setup makes .venv with pytest")];
    found.extend(MINORS.into_iter().filter_map(of_minor));
    let named = std::env::var_os("EGSS_TEST_PYTHONS").unwrap_or_default();
    let named = std::env::split_paths(&named).filter(|path| !path.as_os_str().is_empty());
    found.extend(named.map(|path| Python::ask(&path).expect("EGSS_TEST_PYTHONS: no pytest")));
    for python in &found {
        eprintln!("Python 3.{}: {}", python.minor, python.program.display());
    }
    found
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let file = dir.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    dir
}

/// An edit of `total`, as the agent writes it.
fn edit(body: &str) -> String {
    format!(
        "<tool_call>\n{{\"name\": \"edit\", \"arguments\": {{\"path\": \"shop/cart.py\", \"symbol\": \"total\"}}}}\n</tool_call>\n```python\n@logged\ndef total(xs):\n    return {body}\n```"
    )
}

fn solved(sandbox: &Sandbox) -> RunState {
    let (repo, out) = (folder(&FILES), tempfile::tempdir().unwrap());
    let said = vec![(edit("sum(xs)"), 1.0)];
    let profile = AgentProfile::small();
    let strategy = strategy_named("egss", 4, 4, &profile).unwrap();
    let request = SolveRequest {
        issue: ISSUE,
        seed: 1,
        ..request(repo.path(), &strategy, &profile)
    };
    let mut engine = engine(move |_| said.clone());
    let tools = tools(&mut engine, sandbox);
    solve(out.path(), &request, tools).unwrap()
}

#[test]
fn an_issue_with_an_example_is_solved_on_each_python() {
    for python in pythons() {
        let state = solved(&python.sandbox());
        let suite = state.suite.as_ref().unwrap();
        let said = format!("Python 3.{}: {suite:#?}", python.minor);
        assert!(suite.text.contains("Cart([1, 2]).total() == 3"), "{said}");
        assert!(suite.text.contains("import math"), "{said}");
        let reached: Vec<&str> = suite.reached.iter().map(|r| r.symbol.as_str()).collect();
        assert_eq!(
            reached,
            ["Cart.__init__", "Cart.total", "logged", "total"],
            "{said}"
        );
        let base = state.suite_runs.iter().find(|run| run.branch.is_none());
        let base = base.unwrap();
        assert_eq!(base.fault, None, "{said}");
        // Each assertion of the example is a test; the repository's own test passes.
        let counts = (
            base.counts.passed,
            base.counts.failed,
            base.counts.error,
            base.counts.total,
        );
        assert_eq!(counts, (1, 2, 0, 3), "{base:?}");
        let winner = state.selected.as_ref().unwrap().branch.unwrap();
        let patch = &state.branch(winner).ended.as_ref().unwrap().patch;
        assert!(
            patch.contains("-    return sum(xs) + 1\n+    return sum(xs)\n"),
            "{patch}"
        );
    }
}

const CONTRACT: &str = "\
import os, time, unittest, pytest
SEEN = []
def test_good():
    SEEN.append(1)
    print('noise')
def test_alone(): assert SEEN == []
def test_bad(): assert 1 == 2, 'its own'
@pytest.mark.skip(reason='later')
def test_skipped(): pass
@pytest.mark.xfail
def test_expected(): assert False
@pytest.mark.parametrize('x', ['a::b', 'c/d.py'])
def test_each(x): assert x
@pytest.fixture
def broken(): raise RuntimeError('no')
def test_setup(broken): pass
@pytest.fixture
def late():
    yield
    raise RuntimeError('late')
def test_teardown(late): pass
def test_hangs():
    print('on its way')
    time.sleep(60)
def test_exits(): os._exit(0)
class TestB(unittest.TestCase):
    def test_m(self): self.assertEqual(2, 2)
def test_folder(tmpdir): assert tmpdir.listdir() == []
";

#[test]
fn each_test_has_a_process_of_its_own_on_each_python() {
    for python in pythons() {
        let sandbox = python.sandbox();
        let limits = RunnerLimits {
            test_s_max: 1,
            ..RunnerLimits::default()
        };
        let targets = ["tests/test_a.py", "tests/test_hung.py"].map(str::to_owned);
        let dir = folder(&[
            ("tests/test_a.py", CONTRACT),
            ("tests/test_hung.py", "while True: pass\n"),
        ]);
        let own = OwnTests::default();
        let runner = TestRunner::for_files(&sandbox, limits, own, &targets).unwrap();
        let run = runner.run(None, dir.path(), &targets).unwrap();
        let tests = run.tests.iter().map(|test| (test.id.as_str(), test));
        let tests: HashMap<_, _> = tests.collect();
        let said = format!("Python 3.{}: {tests:#?}", python.minor);
        assert_eq!(run.fault, None, "{said}");
        for (name, result, says) in [
            ("test_good", TestResult::Passed, ""),
            ("test_alone", TestResult::Passed, ""),
            ("test_bad", TestResult::Failed, "AssertionError: its own"),
            ("test_skipped", TestResult::Skipped, ""),
            ("test_expected", TestResult::Skipped, ""),
            ("test_each[a::b]", TestResult::Passed, ""),
            ("test_each[c/d.py]", TestResult::Passed, ""),
            ("test_setup", TestResult::Error, "RuntimeError: no"),
            ("test_teardown", TestResult::Error, "RuntimeError: late"),
            ("test_hangs", TestResult::Error, "took longer than 1 s"),
            ("test_exits", TestResult::Error, "ended with status 0"),
            ("TestB::test_m", TestResult::Passed, ""),
            ("test_folder", TestResult::Passed, ""),
        ] {
            let test = tests.get(format!("tests/test_a.py::{name}").as_str());
            let test = test.unwrap_or_else(|| panic!("no {name} in {said}"));
            assert_eq!(test.result, result, "{name} in {said}");
            assert!(test.message.contains(says), "{name} in {said}");
        }
        let hung = tests["tests/test_hung.py"];
        assert_eq!(hung.result, TestResult::Error, "{said}");
        let counts = SuiteCounts {
            passed: 6,
            failed: 1,
            error: 5,
            total: 14,
            not_run: 0,
        };
        assert_eq!(run.counts, counts, "{said}");
    }
}

fn source(origin: &str, text: &str) -> TestSource {
    TestSource {
        origin: origin.to_owned(),
        kind: SourceKind::Written,
        path: None,
        text: text.to_owned(),
    }
}

/// The first minor version that reads each.
const SYNTAX: [(u32, &str); 3] = [
    (8, "def test_walrus():\n    assert (x := 1) == x\n"),
    (
        8,
        "def test_position():\n    def f(x, /): return x\n    assert f(1)\n",
    ),
    (
        10,
        "def test_match():\n    match 1:\n        case 1:\n            pass\n",
    ),
];

#[test]
fn a_test_in_newer_syntax_than_the_codes_python_is_dropped_alone() {
    for python in pythons() {
        let sandbox = python.sandbox();
        let mut sources = vec![source("old", "import tomllib\ndef test_old(): pass\n")];
        sources.extend(SYNTAX.iter().map(|(_, text)| source("new", text)));
        let suite = consolidate(&sandbox, &sources).unwrap();
        let n_kept = SYNTAX.iter().filter(|(minor, _)| python.minor >= *minor);
        let said = format!("Python 3.{}: {suite:#?}", python.minor);
        assert_eq!(suite.tests.len(), 1 + n_kept.count(), "{said}");
        for dropped in &suite.dropped {
            assert!(dropped.why.contains("invalid syntax"), "{said}");
        }
        // The library has `tomllib` from 3.11 on; before, no test that does not use it fails.
        let dir = folder(&[("test_suite.py", &suite.text)]);
        let targets = ["test_suite.py".to_owned()];
        let (limits, own) = (RunnerLimits::default(), OwnTests::default());
        let runner = TestRunner::for_files(&sandbox, limits, own, &targets).unwrap();
        let run = runner.run(None, dir.path(), &targets).unwrap();
        let n_passed = run.counts.passed as usize;
        assert_eq!(n_passed, suite.tests.len(), "{run:?}\n{said}");
    }
}

#[test]
fn code_is_read_by_the_grammar_of_each_python() {
    let written = "'''Doc.'''\nb'remark'\n12\n...\nNone\ndef f(x):\n    return x  # so\n";
    let plain = "def f(x): return x\n";
    let (first_minor, newest) = SYNTAX[2];
    let dir = folder(&[
        ("written.py", written),
        ("plain.py", plain),
        ("newest.py", newest),
    ]);
    let names = ["written.py", "plain.py", "newest.py"].map(str::to_owned);
    for python in pythons() {
        let sandbox = python.sandbox();
        let language = of_path("plain.py");
        let digests = language.code_digests(&sandbox, dir.path(), &names).unwrap();
        assert!(digests[0].is_some(), "Python 3.{}", python.minor);
        assert_eq!(digests[0], digests[1], "Python 3.{}", python.minor);

        let is_read = python.minor >= first_minor;
        assert_eq!(digests[2].is_some(), is_read, "Python 3.{}", python.minor);
        let faults = compile_faults(&sandbox, dir.path(), &names).unwrap();
        assert_eq!(faults.is_empty(), is_read, "{faults:?}");
        let fault = language.fault(&ChangedFile {
            sandbox: &sandbox,
            dir: dir.path(),
            path: "newest.py",
            before: None,
            after: newest,
            limits: Limits::default(),
        });
        let fault = fault.unwrap();
        let says_where = |fault: &str| fault.starts_with("line 2: ");
        assert_eq!(fault.as_deref().map(says_where), (!is_read).then_some(true));
    }
}

/// A package is a module to pytest before 8: xarray's and astropy's tests were not found.
#[test]
fn files_of_packages_are_found_without_an_import_on_each_python() {
    let slow = "import time\ntime.sleep(0.9)\ndef test_slow(): pass\n";
    let names: Vec<String> = (0..14).map(|n| format!("pkg/tests/test_{n}.py")).collect();
    let mut files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), slow)).collect();
    files.extend([("pkg/__init__.py", ""), ("pkg/tests/__init__.py", "")]);
    let dir = folder(&files);
    let limits = RunnerLimits {
        run_s_max: 20,
        ..RunnerLimits::default()
    };
    for python in pythons() {
        let sandbox = python.sandbox();
        let own = OwnTests::default();
        let runner = TestRunner::for_files(&sandbox, limits, own, &names).unwrap();
        let found = runner.runner().collect(dir.path(), &names).unwrap();
        let said = format!("Python 3.{}: {found:?}", python.minor);
        assert!(found.ids.is_empty(), "all were imported in time: {said}");
        assert_eq!(found.targets.len(), names.len(), "{said}");
    }
}
