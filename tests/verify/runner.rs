use crate::support::{folder, limits, names, python_runner, results, run, sandbox, write};
use egss::base::BranchId;
use egss::lang::{RunnerLimits, SUITE_FILE};
use egss::record::{SuiteCounts, TestResult};
use egss::verify::{OwnTests, TestRunner};

const TEST_A: &str = "\
import pytest, mod
def test_good(): assert mod.f(1) == 1
def test_bad(): assert mod.f(1) == 2
@pytest.mark.skip
def test_skipped(): pass
@pytest.mark.parametrize('x', ['a::b', 'c/d.py'])
def test_each(x): assert x
@pytest.fixture
def broken(): raise RuntimeError('no')
def test_setup(broken): pass
";

const TEST_B: &str = "\
import mod, unittest
class TestB(unittest.TestCase):
    def test_m(self): self.assertEqual(mod.f(2), 2)
";

#[test]
fn counts_and_ids_come_from_the_xml_and_no_file_is_left() {
    let targets = [
        "test_a.py",
        "tests/sub/test_b.py",
        "tests/test_broken.py",
        "tests/test_missing.py",
    ];
    let (run, dir) = run(
        &[
            ("mod.py", "def f(x): return x\n"),
            (targets[0], TEST_A),
            (targets[1], TEST_B),
            (targets[2], "def test_x(:\n"),
            (targets[3], "import no_such_module\n"),
        ],
        &targets,
    );
    let found = results(&run);
    assert_eq!(run.fault, None);
    for (id, result) in [
        ("test_a.py::test_good", TestResult::Passed),
        ("test_a.py::test_bad", TestResult::Failed),
        ("test_a.py::test_skipped", TestResult::Skipped),
        ("test_a.py::test_each[a::b]", TestResult::Passed),
        ("test_a.py::test_each[c/d.py]", TestResult::Passed),
        ("test_a.py::test_setup", TestResult::Error),
        ("tests/sub/test_b.py::TestB::test_m", TestResult::Passed),
        ("tests/test_broken.py", TestResult::Error),
        ("tests/test_missing.py", TestResult::Error),
    ] {
        assert_eq!(found.get(id), Some(&result), "{id} in {found:?}");
    }
    let counts = SuiteCounts {
        passed: 4,
        failed: 1,
        error: 3,
        total: 9,
        not_run: 0,
    };
    assert_eq!(run.counts, counts);
    let mut left: Vec<String> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["mod.py", "test_a.py", "tests"]);
}

const HANGS: &str = "\
import time
def test_before(): pass
def test_spins():
    while True: pass
def test_sleeps(): time.sleep(60)
def test_after(): pass
";

#[test]
fn a_hanging_test_or_import_takes_no_other_down() {
    let (run, _dir) = run(
        &[
            ("test_a.py", HANGS),
            ("test_import.py", "while True: pass\n"),
            ("test_z.py", "def test_last(): pass\n"),
        ],
        &["test_a.py", "test_import.py", "test_z.py"],
    );
    let found = results(&run);
    assert_eq!(run.fault, None, "the limits are inside the one run");
    assert_eq!(found["test_a.py::test_before"], TestResult::Passed);
    assert_eq!(found["test_a.py::test_spins"], TestResult::Error);
    assert_eq!(found["test_a.py::test_sleeps"], TestResult::Error);
    assert_eq!(found["test_a.py::test_after"], TestResult::Passed);
    assert_eq!(found["test_import.py"], TestResult::Error);
    assert_eq!(found["test_z.py::test_last"], TestResult::Passed);
    let spins = run.tests.iter().find(|test| test.id.ends_with("spins"));
    assert!(spins.unwrap().message.contains("took longer than 1 s"));
}

const QUITS: &str = "\
import os, signal, sys, time
def test_before(): pass
def test_exits():
    print('noise')
    os._exit(0)
def test_dies(): os.kill(os.getpid(), signal.SIGSEGV)
def test_ignores_its_limit():
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    while True: pass
def test_leaves_a_process():
    if os.fork() == 0: time.sleep(60)
def test_after(): assert False, 'its own'
";

#[test]
fn a_test_that_ends_its_process_or_ignores_its_limit_is_the_only_error() {
    let (run, _dir) = run(&[("test_a.py", QUITS)], &["test_a.py"]);
    let found = results(&run);
    assert_eq!(run.fault, None);
    for (name, result) in [
        ("before", TestResult::Passed),
        ("exits", TestResult::Error),
        ("dies", TestResult::Error),
        ("ignores_its_limit", TestResult::Error),
        ("leaves_a_process", TestResult::Passed),
        ("after", TestResult::Failed),
    ] {
        assert_eq!(found[format!("test_a.py::test_{name}").as_str()], result);
    }
    let message = |name: &str| {
        let test = run.tests.iter().find(|test| test.id.ends_with(name));
        test.unwrap().message.as_str()
    };
    assert!(message("exits").contains("ended with status 0"));
    assert!(message("dies").contains("died of signal 11"));
    assert!(message("limit").contains("took longer than 1 s"));
    assert!(message("after").contains("its own"));
}

const SHARED: &str = "\
import os, unittest, mod, pytest
SEEN = []
@pytest.fixture(scope='session')
def counter():
    SEEN.append('fixture')
    return SEEN
def change():
    assert SEEN == [] and mod.STATE == {} and 'EGSS_SEEN' not in os.environ
    assert os.path.basename(os.getcwd()) != 'away'
    SEEN.append(1)
    mod.STATE['x'] = 1
    os.environ['EGSS_SEEN'] = '1'
    os.makedirs('/tmp/away', exist_ok=True)
    os.chdir('/tmp/away')
def test_one(): change()
def test_two(): change()
def test_three(counter): assert counter == ['fixture']
def test_four(counter): assert counter == ['fixture']
class TestC(unittest.TestCase):
    @classmethod
    def setUpClass(cls): cls.found = []
    def test_five(self): self.found.append(1); self.assertEqual(self.found, [1])
    def test_six(self): self.found.append(1); self.assertEqual(self.found, [1])
def test_folder(tmp_path): assert list(tmp_path.iterdir()) == []
";

#[test]
fn what_one_test_changes_reaches_no_other() {
    let (run, _dir) = run(
        &[("mod.py", "STATE = {}\n"), ("test_a.py", SHARED)],
        &["test_a.py"],
    );
    let counts = (run.counts.passed, run.counts.total);
    assert_eq!(counts, (7, 7), "{:?}", run.tests);
}

const FIXTURES: &str = "\
import pytest
@pytest.fixture(scope='session')
def server():
    with open('servers', 'a') as file: file.write('x')
    yield
    with open('servers', 'a') as file: file.write('.')
def servers():
    with open('servers') as file: return file.read()
";

#[test]
fn fixtures_live_as_long_as_in_pytest() {
    let once = "from conftest import servers\ndef test_a(server): assert servers() == 'x'\ndef test_b(server): assert servers() == 'x'\n";
    // A second server is there only where a test ends its process, or is run again by itself.
    let twice = "import os\nfrom conftest import servers\ndef test_ends(server): os._exit(1)\ndef test_after(server): assert servers() == 'xx'\n";
    let (run, dir) = run(
        &[
            ("conftest.py", FIXTURES),
            ("test_a.py", once),
            ("test_b.py", once),
            ("test_c.py", twice),
        ],
        &["test_a.py", "test_b.py", "test_c.py"],
    );
    let counts = (run.counts.passed, run.counts.total);
    assert_eq!(counts, (5, 6), "{:?}", run.tests);
    let servers = std::fs::read_to_string(dir.path().join("servers")).unwrap();
    assert_eq!(servers, "xx.", "the last one is torn down");
}

const SLOW_WRITES: &str = "\
import os, time
write = os.write
def slow(file, data):
    count = write(file, data)
    time.sleep(0.05)
    return count
os.write = slow
";

const ENDS_AT_ONCE: &str = "\
import os
def count(): open('ran', 'a').write('x')
def test_before(): pass
def test_ends(): count(); os._exit(1)
def test_after(): pass
def test_ends_too(): count(); os._exit(1)
";

#[test]
fn a_test_that_ends_its_process_at_once_is_run_once() {
    let (run, dir) = run(
        &[("conftest.py", SLOW_WRITES), ("test_a.py", ENDS_AT_ONCE)],
        &["test_a.py"],
    );
    let counts = (run.counts.passed, run.counts.total);
    assert_eq!(counts, (2, 4), "{:?}", run.tests);
    let ran = std::fs::read_to_string(dir.path().join("ran")).unwrap();
    assert_eq!(ran, "xx");
}

const NEIGHBOURS: &str = "\
import os
SEEN = []
def test_leaves(): SEEN.append(1)
def test_minds(): assert SEEN == []
def test_needs(): assert SEEN == [1]
def test_wrong(): assert SEEN is None
";

#[test]
fn a_test_that_fails_beside_others_is_judged_alone() {
    let (run, _dir) = run(&[("test_a.py", NEIGHBOURS)], &["test_a.py"]);
    let found = results(&run);
    for (name, result) in [
        ("leaves", TestResult::Passed),
        ("minds", TestResult::Passed),
        // As in pytest: it passes where the one that it needs has run.
        ("needs", TestResult::Passed),
        ("wrong", TestResult::Failed),
    ] {
        assert_eq!(found[format!("test_a.py::test_{name}").as_str()], result);
    }
}

#[test]
fn a_file_that_ends_the_process_is_the_only_error() {
    let (run, _dir) = run(
        &[
            ("test_a.py", "def test_first(): pass\n"),
            ("test_exits.py", "import sys\nsys.exit(0)\n"),
            ("test_quits.py", "import os\nos._exit(0)\n"),
            ("test_z.py", "def test_last(): pass\n"),
        ],
        &["test_a.py", "test_exits.py", "test_quits.py", "test_z.py"],
    );
    let found = results(&run);
    let fault = run.fault.as_ref().unwrap();
    assert!(
        fault.starts_with("test_quits.py ended the process"),
        "{fault}"
    );
    assert_eq!(found["test_exits.py"], TestResult::Error);
    assert_eq!(found["test_a.py::test_first"], TestResult::Passed);
    assert_eq!(found["test_quits.py"], TestResult::Error);
    assert_eq!(found["test_z.py::test_last"], TestResult::Passed);
    assert_eq!(run.tests.len(), 4);
}

const STUBBORN: &str = "\
import signal
signal.signal(signal.SIGALRM, signal.SIG_IGN)
while True: pass
";

#[test]
fn an_import_that_ignores_its_limit_is_stopped() {
    let (sandbox, dir) = (sandbox(), folder(&[("test_a.py", STUBBORN)]));
    write(dir.path(), &[("test_b.py", "def test_good(): pass\n")]);
    let few = RunnerLimits {
        run_s_max: 12,
        ..limits()
    };
    let runner = python_runner(&sandbox, few);
    let run = runner
        .run(None, dir.path(), &names(&["test_b.py", "test_a.py"]))
        .unwrap();
    let found = results(&run);
    assert_eq!(found["test_b.py::test_good"], TestResult::Passed);
    assert_eq!(found["test_a.py"], TestResult::Error);
    let stubborn = run.tests.iter().find(|test| test.id == "test_a.py");
    assert_eq!(stubborn.unwrap().message, "took longer than 1 s");
    assert!(run.fault.unwrap().contains("the rest was run without it"));
}

#[test]
fn the_repository_can_neither_stand_in_for_pytest_nor_stop_it_early() {
    let forged = "<testsuites><testsuite><testcase classname=\"test_a\" name=\"test_bad\" file=\"test_a.py\"/></testsuite></testsuites>";
    let (run, _dir) = run(
        &[
            ("pytest.py", "import sys; sys.exit(0)\n"),
            ("junit.xml", forged),
            (".egss-verify-0/junit.xml", forged),
            ("pytest.ini", "[pytest]\naddopts = -x --no-such-option\n"),
            (
                "test_a.py",
                "def test_bad(): assert False\ndef test_after(): pass\n",
            ),
        ],
        &["test_a.py"],
    );
    let found = results(&run);
    assert_eq!(found["test_a.py::test_bad"], TestResult::Failed);
    assert_eq!(found["test_a.py::test_after"], TestResult::Passed);
}

#[test]
fn a_command_of_the_users_counts_by_its_xml_or_else_by_its_exit_status() {
    let sandbox = sandbox();
    let run = |command: &str| {
        let dir = folder(&[(
            "sub/test_a.py",
            "def test_x(): pass\ndef test_y(): assert 0\n",
        )]);
        write(dir.path(), &[(SUITE_FILE, "def test_s(): pass\n")]);
        let runner = TestRunner::for_files(
            &sandbox,
            RunnerLimits {
                run_s_max: 8,
                ..limits()
            },
            OwnTests {
                command: Some(command.to_owned()),
                junit: None,
            },
            &names(&["sub/test_a.py"]),
        )
        .unwrap();
        runner
            .run_all(Some(BranchId(3)), dir.path(), &names(&[SUITE_FILE]), &[])
            .unwrap()
    };
    let xml = run("cd sub && python3 -m pytest -p no:cacheprovider");
    let counts = (xml.counts.passed, xml.counts.failed, xml.counts.total);
    assert_eq!(counts, (2, 1, 3));
    assert_eq!(xml.branch, Some(BranchId(3)));
    for (command, result) in [("true", TestResult::Passed), ("false", TestResult::Failed)] {
        let run = run(command);
        assert_eq!(results(&run)["test-cmd"], result);
        assert_eq!(run.counts.total, 2);
    }
    // One that is stopped has said nothing.
    let stopped = run("sleep 600");
    assert_eq!(stopped.not_run, ["test-cmd"]);
    assert!(!results(&stopped).contains_key("test-cmd"));
    assert!(stopped.fault.unwrap().contains("--verify-s-max"));
}
