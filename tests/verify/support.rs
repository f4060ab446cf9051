//! What the tests of this binary share.
use egss::record::{SuiteRun, TestResult};
use egss::verify::{RunnerLimits, SourceKind, TestRunner, TestSource};
use egss::workspace::{Sandbox, SandboxMode};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

pub const FAULTY: &str = "def double(x):\n    return x + 2\n";
pub const FIXED: &str = "def double(x):\n    return x * 2\n";

/// The interpreter that scripts/setup gave pytest.
fn python() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    if own.exists() {
        return own;
    }
    match std::env::var_os("EGSS_TEST_PYTHON") {
        Some(python) => PathBuf::from(python),
        None => panic!("no interpreter with pytest: run scripts/setup, or set EGSS_TEST_PYTHON"),
    }
}

pub fn sandbox() -> Sandbox {
    Sandbox::new(SandboxMode::Bubblewrap, &python()).expect("run scripts/setup")
}

/// Short limits: the planted tests hang on purpose.
pub fn limits() -> RunnerLimits {
    RunnerLimits {
        test_s_max: 1,
        run_s_max: 60,
        ..RunnerLimits::default()
    }
}

pub fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), files);
    dir
}

pub fn write(dir: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let file = dir.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
}

pub fn names(targets: &[&str]) -> Vec<String> {
    targets.iter().map(|target| (*target).to_owned()).collect()
}

/// Runs targets in a folder of these files, which is returned to be looked at.
pub fn run(files: &[(&str, &str)], targets: &[&str]) -> (SuiteRun, tempfile::TempDir) {
    let (sandbox, dir) = (sandbox(), folder(files));
    let runner = TestRunner::new(&sandbox, limits(), None).unwrap();
    let run = runner.run(None, dir.path(), &names(targets)).unwrap();
    (run, dir)
}

pub fn results(run: &SuiteRun) -> HashMap<&str, TestResult> {
    let pairs = run.tests.iter();
    pairs.map(|test| (test.id.as_str(), test.result)).collect()
}

pub fn source(origin: &str, text: &str) -> TestSource {
    TestSource {
        origin: origin.to_owned(),
        kind: SourceKind::Written,
        text: text.to_owned(),
    }
}
