//! Judges a patch by a task's hidden tests.
use super::{EvalError, Task};
use crate::lang::{RunnerLimits, list_files};
use crate::record::{SuiteRun, TestResult};
use crate::verify::{NotRun, OwnTests, TestRunner, apply_patch, restore_tests};
use crate::workspace::{Sandbox, put_file};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Seconds that the hidden tests may take together, as in SWE-bench's own harness.
const RUN_S_MAX: u64 = 1_800;

/// What the hidden tests say of a patch.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Every FAIL_TO_PASS and PASS_TO_PASS test passed.
    pub resolved: bool,
    /// The hidden tests that ran and did not pass.
    pub failed: Vec<String>,
    /// Why no test could be run, or what went wrong with the run.
    pub fault: Option<String>,
}

/// The runner of a task's hidden tests, by the files that hold them.
pub fn hidden_runner<'a>(task: &Task, sandbox: &'a Sandbox) -> Result<TestRunner<'a>, EvalError> {
    let hidden = task.fail_to_pass.iter().chain(&task.pass_to_pass);
    let files = hidden.map(|id| id.split("::").next().unwrap_or(id).to_owned());
    let files: Vec<String> = files.chain(task.files.keys().cloned()).collect();
    let limits = RunnerLimits {
        run_s_max: RUN_S_MAX,
        ..RunnerLimits::default()
    };
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
    Ok(verdict_of(&hidden, &run))
}

/// A test that the run did not come to has not failed, and is no reason to call a patch right.
fn verdict_of(hidden: &[&String], run: &SuiteRun) -> Verdict {
    let not_run = NotRun::of(run);
    let others = hidden.iter().filter(|id| !passes(run, id));
    let (not_reached, failed): (Vec<&String>, Vec<&String>) =
        others.copied().partition(|id| not_run.has(id));
    let said = (!not_reached.is_empty()).then(|| {
        let n_hidden = hidden.len();
        format!(
            "{} of {n_hidden} hidden tests did not come to run",
            not_reached.len()
        )
    });
    let fault = [said, run.fault.clone()].into_iter().flatten();
    Verdict {
        resolved: failed.is_empty() && not_reached.is_empty(),
        failed: failed.into_iter().cloned().collect(),
        fault: fault.reduce(|first, second| format!("{first}; {second}")),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::TestOutcome;

    #[test]
    fn a_hidden_test_that_did_not_come_to_run_has_not_failed() {
        let ids = ["a.py::test_1", "a.py::test_2", "b.py::test_3"].map(str::to_owned);
        let outcome = |id: &String, result| TestOutcome {
            id: id.clone(),
            result,
            message: String::new(),
            ms: 1,
        };
        let hidden: Vec<&String> = ids.iter().collect();
        let mut run = SuiteRun {
            tests: vec![outcome(&ids[0], TestResult::Passed)],
            not_run: ids[1..].to_vec(),
            ..SuiteRun::default()
        };
        let verdict = verdict_of(&hidden, &run);
        assert!(
            !verdict.resolved && verdict.failed.is_empty(),
            "{verdict:?}"
        );
        assert_eq!(
            verdict.fault.as_deref(),
            Some("2 of 3 hidden tests did not come to run")
        );
        run.tests.push(outcome(&ids[1], TestResult::Failed));
        run.not_run.remove(0);
        assert_eq!(verdict_of(&hidden, &run).failed, ids[1..2]);
        run.not_run.clear();
        run.tests[1].result = TestResult::Passed;
        // One that is in no list at all has not passed.
        assert_eq!(verdict_of(&hidden, &run).failed, ids[2..]);
        run.tests.push(outcome(&ids[2], TestResult::Passed));
        assert!(verdict_of(&hidden, &run).resolved);
    }
}
