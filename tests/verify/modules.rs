//! Tests by a command that takes dotted modules.
use crate::support::{folder, limits, names, results, sandbox};
use egss::lang::RunnerLimits;
use egss::record::TestResult;
use egss::verify::{OwnTests, TestRunner};
use std::time::{Duration, Instant};

const GOOD: &str = "\
import unittest
class Case(unittest.TestCase):
    def test_good(self):
        'Says what it does.'
    def test_bad(self): self.assertEqual(1, 2)
    @unittest.skip('not now')
    def test_left(self): pass
";
const BROKEN: &str = "\
import unittest
class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls): raise ValueError('no widget')
    def test_never(self): pass
";
const SLOW: &str = "\
import time, unittest
class Case(unittest.TestCase):
    def test_slow(self): time.sleep(60)
";
const FILES: [(&str, &str); 5] = [
    ("tests/admin/__init__.py", ""),
    ("tests/admin/tests.py", GOOD),
    ("tests/forms/__init__.py", ""),
    ("tests/forms/tests.py", BROKEN),
    ("tests/slow/tests.py", SLOW),
];
/// As a project's own runner is called: at the root, with modules below a folder.
const COMMAND: &str = "cd tests && python3 -m unittest -v {modules:tests}";

fn own() -> OwnTests {
    OwnTests {
        command: Some(COMMAND.to_owned()),
        ..OwnTests::default()
    }
}

#[test]
fn a_command_that_takes_modules_runs_the_tests_it_is_asked_for() {
    let (sandbox, dir) = (sandbox(), folder(&FILES));
    let files = FILES.map(|(path, _)| path.to_owned());
    let runner = TestRunner::for_files(&sandbox, limits(), own(), &files).unwrap();
    let suite = "test_current_issue.py";
    std::fs::write(dir.path().join(suite), "def test_issue(): pass\n").unwrap();
    let asked = names(&["tests/admin/tests.py", "tests/forms/tests.py"]);
    let run = runner
        .run_all(None, dir.path(), &names(&[suite]), &asked)
        .unwrap();
    let found = results(&run);
    assert_eq!(
        found["test_current_issue.py::test_issue"],
        TestResult::Passed
    );
    for (name, result) in [
        ("admin/tests.py::Case::test_good", TestResult::Passed),
        ("admin/tests.py::Case::test_bad", TestResult::Failed),
        ("admin/tests.py::Case::test_left", TestResult::Skipped),
        ("forms/tests.py::Case::*", TestResult::Error),
    ] {
        assert_eq!(found[format!("tests/{name}").as_str()], result);
    }
    assert_eq!(run.tests.len(), 5);
    let ids = names(&["tests/admin/tests.py::Case::test_good"]);
    let again = runner.run(None, dir.path(), &ids).unwrap();
    assert_eq!(again.counts.total, 3, "the files of ids");
}

#[test]
fn what_such_a_command_did_not_come_to_was_not_run() {
    let (sandbox, dir) = (sandbox(), folder(&FILES));
    let files = FILES.map(|(path, _)| path.to_owned());
    let few = RunnerLimits {
        run_s_max: 5,
        ..limits()
    };
    let runner = TestRunner::for_files(&sandbox, few, own(), &files).unwrap();
    let asked = names(&["tests/admin/tests.py", "tests/slow/tests.py"]);
    let began = Instant::now();
    let run = runner.run_all(None, dir.path(), &[], &asked).unwrap();
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(run.tests.len(), 3, "{:?}", run.tests);
    assert_eq!(run.not_run, ["tests/slow/tests.py"]);
}

#[test]
fn a_module_that_ends_the_runner_takes_no_other_down() {
    let ends = "import os\nos._exit(1)\n";
    let more = [
        ("tests/ends/__init__.py", ""),
        ("tests/ends/tests.py", ends),
    ];
    let all: Vec<(&str, &str)> = FILES.into_iter().chain(more).collect();
    let (sandbox, dir) = (sandbox(), folder(&all));
    let files: Vec<String> = all.iter().map(|(path, _)| (*path).to_owned()).collect();
    let runner = TestRunner::for_files(&sandbox, limits(), own(), &files).unwrap();
    let asked = names(&["tests/ends/tests.py", "tests/admin/tests.py"]);
    let run = runner.run_all(None, dir.path(), &[], &asked).unwrap();
    let found = results(&run);
    assert_eq!(found["tests/ends/tests.py"], TestResult::Error);
    assert_eq!(
        found["tests/admin/tests.py::Case::test_good"],
        TestResult::Passed
    );
    assert!(run.not_run.is_empty());
}
