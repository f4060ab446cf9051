//! Judges a patch by a task's hidden tests.
use super::{EvalError, Task};
use crate::lang::{RunnerLimits, list_files};
use crate::record::{SuiteRun, TestResult};
use crate::verify::{OwnTests, TestRunner, apply_patch, restore_tests};
use crate::workspace::{Sandbox, put_file};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What the hidden tests say of a patch.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Every FAIL_TO_PASS and PASS_TO_PASS test passed.
    pub resolved: bool,
    /// The hidden tests that did not pass.
    pub failed: Vec<String>,
    /// Why no test could be run, or what went wrong with the run.
    pub fault: Option<String>,
}

/// The runner of a task's hidden tests, by the files that hold them.
pub fn hidden_runner<'a>(task: &Task, sandbox: &'a Sandbox) -> Result<TestRunner<'a>, EvalError> {
    let hidden = task.fail_to_pass.iter().chain(&task.pass_to_pass);
    let files = hidden.map(|id| id.split("::").next().unwrap_or(id).to_owned());
    let files: Vec<String> = files.chain(task.files.keys().cloned()).collect();
    let limits = RunnerLimits::default();
    Ok(TestRunner::for_files(
        sandbox,
        limits,
        OwnTests::default(),
        &files,
    )?)
}

/// Applies `patch` to a clean copy of the task's repository, puts the hidden
/// tests in, and runs them in the sandbox. The patch is judged by the task's
/// version of all test files: what it does to them itself is undone.
///
/// `scratch` is a folder that exists; the copies made in it are removed.
/// Errors: a task that is broken in itself (its test patch does not apply).
pub fn judge(
    task: &Task,
    patch: &str,
    runner: &TestRunner<'_>,
    scratch: &Path,
) -> Result<Verdict, EvalError> {
    let hidden: Vec<&String> = task.fail_to_pass.iter().chain(&task.pass_to_pass).collect();
    let judged = copy(task, scratch)?;
    if let Some(why) = apply_patch(judged.path(), patch)? {
        return Ok(Verdict {
            resolved: false,
            failed: hidden.into_iter().cloned().collect(),
            fault: Some(format!("the patch does not apply: {why}")),
        });
    }
    let reference = copy(task, scratch)?;
    if let Some(why) = apply_patch(reference.path(), &task.test_patch)? {
        return Err(task.error(&format!(
            "its test_patch does not apply to its files: {why}"
        )));
    }
    let before = copy(task, scratch)?;
    put_tests(before.path(), reference.path(), judged.path())?;
    let files: BTreeSet<&str> = hidden
        .iter()
        .map(|id| id.split("::").next().unwrap_or(id))
        .collect();
    let targets: Vec<String> = files
        .into_iter()
        .filter(|file| judged.path().join(file).is_file())
        .map(str::to_owned)
        .collect();
    let run = runner.run(None, judged.path(), &targets)?;
    let failed: Vec<String> = hidden
        .into_iter()
        .filter(|id| !passes(&run, id))
        .cloned()
        .collect();
    Ok(Verdict {
        resolved: failed.is_empty(),
        failed,
        fault: run.fault,
    })
}

fn passes(run: &SuiteRun, id: &str) -> bool {
    run.tests
        .iter()
        .any(|test| test.id == id && test.result == TestResult::Passed)
}

fn copy(task: &Task, scratch: &Path) -> Result<tempfile::TempDir, EvalError> {
    let dir = tempfile::Builder::new()
        .prefix("task-")
        .tempdir_in(scratch)
        .map_err(|source| EvalError::io("make a folder in", scratch, source))?;
    task.materialise(dir.path())?;
    Ok(dir)
}

/// The test side of `reference`, and whatever else is not there as it was `before`,
/// over that of `judged`.
fn put_tests(before: &Path, reference: &Path, judged: &Path) -> Result<(), EvalError> {
    restore_tests(reference, judged, &BTreeSet::new())?;
    let files = list_files(reference)?;
    for path in &files {
        let source = reference.join(path);
        if fs::read(&source).ok() != fs::read(before.join(path)).ok() {
            put_file(&source, judged, Path::new(path))?;
        }
    }
    for path in list_files(before)?
        .iter()
        .filter(|path| !files.contains(path))
    {
        let gone = judged.join(path);
        if gone.is_file() {
            fs::remove_file(&gone).map_err(|source| EvalError::io("remove", &gone, source))?;
        }
    }
    Ok(())
}
