//! Runs that are cut before their tests are over (OpenHands#8960, #5927, SWE-agent#673,
//! opencode#4197, SWE-bench#280): results are kept as they come, and what was not run is
//! neither passed nor failed.
use crate::support::{Files, Repository, folder, limits, names, python_runner, results, sandbox};
use egss::lang::RunnerLimits;
use egss::record::{SuiteRun, TestClass, TestResult};
use egss::verify::{gate, pass_rate, unmet};
use std::time::{Duration, Instant};

fn within(run_s_max: u64) -> RunnerLimits {
    RunnerLimits {
        run_s_max,
        test_s_max: 2,
        ..limits()
    }
}

fn run(files: Files<'_>, run_s_max: u64) -> (SuiteRun, Duration) {
    let (sandbox, dir) = (sandbox(), folder(files));
    let runner = python_runner(&sandbox, within(run_s_max));
    let mut targets = names(&files.iter().map(|(path, _)| *path).collect::<Vec<_>>());
    targets.retain(|path| path.starts_with("test_"));
    let began = Instant::now();
    let run = runner.run(None, dir.path(), &targets).unwrap();
    (run, began.elapsed())
}

const SLOW: &str = "\
import time, pytest
@pytest.mark.parametrize('n', range(30))
def test_n(n): time.sleep(0.5)
";

#[test]
fn what_had_ended_is_kept_and_the_rest_is_not_run() {
    let files = [("test_a.py", SLOW), ("test_z.py", "def test_z(): pass\n")];
    let (run, took) = run(&files, 8);
    let (ended, not_run) = (run.tests.len(), run.not_run.len());
    assert!(ended > 0 && not_run > 0, "{ended}, {not_run}");
    assert_eq!(ended + not_run, 31, "{run:?}");
    assert_eq!(run.counts.passed as usize, ended, "{run:?}");
    assert_eq!(run.counts.not_run as usize, not_run);
    assert!(run.not_run.contains(&"test_z.py::test_z".to_owned()));
    let fault = run.fault.unwrap();
    assert_eq!(fault, "the 8 s for one run of all tests did not suffice");
    assert!(took < Duration::from_secs(16), "{took:?}");
}

/// Slow enough for a run to end in the middle of them, wherever it runs.
const EARLY: &str = "\
import time, pytest
@pytest.mark.parametrize('n', range(60))
def test_n(n): time.sleep(0.5)
";

#[test]
fn a_right_patch_is_not_rejected_for_tests_that_nobody_ran() {
    let files = [
        ("m.py", "def f(): return 1\n"),
        ("test_a.py", EARLY),
        ("test_z.py", "import m\ndef test_z(): assert m.f() == 2\n"),
    ];
    let (sandbox, repository) = (sandbox(), Repository::new(&files));
    let runner = python_runner(&sandbox, within(6));
    let right = [("m.py", "def f(): return 2\n")];
    let (plan, evaluation) = repository.evaluated(&runner, &[&right], &[], "");
    let run = &evaluation.patches[0];
    assert!(plan.base.counts.not_run > 0 && run.counts.not_run > 0);
    assert_eq!((run.counts.failed, run.counts.error), (0, 0), "{run:?}");
    assert!(gate(run, &evaluation.classified));
    assert_eq!(pass_rate(run, &evaluation.classified), Some(1.0));
    assert!(unmet(&plan.suite, &plan.base, run).is_empty());
    let late = evaluation.classified.classes.iter();
    let late: Vec<_> = late.filter(|(id, _)| id.starts_with("test_z.py")).collect();
    assert!(
        late.iter()
            .all(|(_, class)| *class != TestClass::Discriminating),
        "{late:?}"
    );
}

const KILLS: &str = "\
import os, signal
def test_before(): pass
def test_kills(): os.kill(os.getppid(), signal.SIGKILL)
def test_after(): pass
";

#[test]
fn a_test_that_kills_the_process_of_all_tests_is_the_only_error() {
    let (run, _) = run(
        &[("test_a.py", KILLS), ("test_b.py", "def test_b(): pass\n")],
        60,
    );
    let found = results(&run);
    assert_eq!(found["test_a.py::test_kills"], TestResult::Error, "{run:?}");
    for id in [
        "test_a.py::test_before",
        "test_a.py::test_after",
        "test_b.py::test_b",
    ] {
        assert_eq!(found[id], TestResult::Passed, "{run:?}");
    }
    let fault = run.fault.unwrap();
    assert!(
        fault.starts_with("test_a.py::test_kills ended the process"),
        "{fault}"
    );
}

/// Each outlives its test, or the tests: a process in a group of its own, one in a session
/// of its own, a thread of the process that collects, one of a test's.
const ENDLESS: &str = "\
import os, threading, time
threading.Thread(target=time.sleep, args=(600,)).start()
def test_thread(): threading.Thread(target=time.sleep, args=(600,)).start()
def test_group():
    if os.fork() == 0:
        os.setpgid(0, 0)
        time.sleep(600)
def test_daemon():
    if os.fork() == 0:
        os.setsid()
        time.sleep(600)
def test_moves():
    import signal
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    os.setpgid(0, os.getpgid(os.getppid()))
    time.sleep(600)
def test_last(): pass
";

const AT_EXIT: &str = "\
import time
def pytest_sessionfinish(): time.sleep(600)
";

#[test]
fn limits_hold_for_what_does_not_end() {
    let files = [("test_a.py", ENDLESS), ("conftest.py", AT_EXIT)];
    let (run, took) = run(&files, 60);
    let found = results(&run);
    for name in ["thread", "group", "daemon", "last"] {
        let id = format!("test_a.py::test_{name}");
        assert_eq!(found[id.as_str()], TestResult::Passed, "{run:?}");
    }
    assert_eq!(found["test_a.py::test_moves"], TestResult::Error, "{run:?}");
    assert_eq!((run.fault, run.not_run.len()), (None, 0));
    // Three seconds for one test, ten for the end of the session.
    assert!(took < Duration::from_secs(40), "{took:?}");
}

/// sphinx#9711: tests that others disturb were told as failures of its reference solution, since
/// the session was cut before they ran alone.
#[test]
fn a_failure_beside_others_is_confirmed_before_the_run_is_cut() {
    let disturbed = "seen = []\n\n\ndef test_first(): seen.append(1)\n\n\ndef test_second(): assert seen == []\n";
    let slow: String = (0..20)
        .map(|n| format!("def test_{n}(): time.sleep(0.9)\n"))
        .collect();
    let slow = format!("import time\n{slow}");
    let files = [("test_a.py", disturbed), ("test_b.py", &slow)];
    let (run, _) = run(&files, 8);
    let second = run
        .tests
        .iter()
        .find(|test| test.id.ends_with("::test_second"));
    assert_eq!(second.unwrap().result, TestResult::Passed, "{run:?}");
    assert!(!run.not_run.is_empty(), "it was not cut: {run:?}");
}
