//! The check of a task's own reference solution, as after an agent's edit: whether the tests that
//! are chosen for it hold the hidden ones, and whether what is read out of the issue is right.
use super::cannot_run::CannotRun;
use super::grader::Grader;
use super::{EvalError, Task};
use crate::base::Budget;
use crate::record::{SuiteRun, TestOutcome, TestResult};
use crate::search::{BaseRequest, Watcher, check_patch};
use crate::verify::{OwnTests, apply_patch, is_of_suite, is_stated, patched_files};
use crate::workspace::Sandbox;
use serde::Serialize;

/// The check of one reference solution.
#[derive(Clone, Debug, Serialize)]
pub struct GoldCheck {
    pub instance_id: String,
    /// Files of tests that were found.
    pub n_files: usize,
    /// The place, from 1, of the first file that the test patch changes, in the order of the
    /// check; `None`: it is not among the files that were found.
    pub hidden_place: Option<usize>,
    /// A test of such a file came to run in the time.
    pub hidden_ran: bool,
    /// Tests that came to run, and those that are known not to have.
    pub n_run: usize,
    pub n_not_run: usize,
    /// Seconds of the tests on the base, and of the check.
    pub base_s: f64,
    pub check_s: f64,
    /// Tests that pass on the base and fail with the solution.
    pub regressions: Vec<String>,
    /// Tests that were made of the issue and fail on the base.
    pub reproductions: Vec<Reproduction>,
}

/// A test that was made of an issue and fails on the base.
#[derive(Clone, Debug, Serialize)]
pub struct Reproduction {
    pub name: String,
    /// With the solution; `None`: it did not come to run.
    pub with_gold: Option<TestResult>,
    /// Its message then, where it does not pass.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// Sums over tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GoldChecks {
    pub n_tasks: usize,
    /// Tasks of which a hidden test's file ran.
    pub hidden_ran: usize,
    /// Tasks whose issue gave a test that fails on the base.
    pub reproduced: usize,
    /// Those of them whose every such test passes with the solution.
    pub right: usize,
    /// Those of which one does not.
    pub wrong: usize,
    /// Tasks with a test that passes on the base and fails with the solution.
    pub with_regressions: usize,
}

impl GoldChecks {
    pub fn of(checks: &[GoldCheck]) -> Self {
        let n = |is: &dyn Fn(&GoldCheck) -> bool| checks.iter().filter(|check| is(check)).count();
        Self {
            n_tasks: checks.len(),
            hidden_ran: n(&|check| check.hidden_ran),
            reproduced: n(&|check| !check.reproductions.is_empty()),
            right: n(&|check| {
                let mut all = check.reproductions.iter();
                !check.reproductions.is_empty() && all.all(Reproduction::passes)
            }),
            wrong: n(&|check| check.reproductions.iter().any(Reproduction::is_wrong)),
            with_regressions: n(&|check| !check.regressions.is_empty()),
        }
    }
}

impl Reproduction {
    fn passes(&self) -> bool {
        self.with_gold == Some(TestResult::Passed)
    }

    /// It would decide against the solution.
    pub fn is_wrong(&self) -> bool {
        self.with_gold.is_some() && !self.passes()
    }
}

/// Checks the reference solution of a task in its repository with the test patch in it.
///
/// `CannotRun`: the task's environment is missing or broken. Errors: disk, git, a task whose
/// patches do not apply.
pub fn gold_check(
    task: &Task,
    grader: &Grader<'_>,
    sandbox: &Sandbox,
    budget: Budget,
    watcher: &dyn Watcher,
) -> Result<Result<GoldCheck, CannotRun>, EvalError> {
    let folder = || {
        tempfile::tempdir().map_err(|e| EvalError::io("make a folder in", &std::env::temp_dir(), e))
    };
    let (repo, run_dir) = (folder()?, folder()?);
    task.materialise(repo.path())?;
    // By the files that its install left, an environment is of the repository as it was.
    let found = match grader {
        Grader::Own => None,
        Grader::Swebench(grader) => match grader.environment(task, repo.path()) {
            Ok((_, environment, sandbox)) => Some((environment, sandbox)),
            Err(why) => return Ok(Err(why)),
        },
    };
    if let Some(why) = apply_patch(repo.path(), &task.test_patch)? {
        return Err(task.error(&format!("its test_patch does not apply: {why}")));
    }
    let request = BaseRequest {
        repo: repo.path(),
        issue: &task.problem_statement,
        budget,
        own_tests: OwnTests::default(),
        environment: found.as_ref().map(|(environment, _)| environment),
        index_dir: None,
    };
    let sandbox = found.as_ref().map_or(sandbox, |(_, sandbox)| sandbox);
    let checked = check_patch(run_dir.path(), &request, sandbox, watcher, &task.patch)?;
    let hidden = patched_files(&task.test_patch);
    let tests = &checked.suite.repository_tests;
    let is_in_hidden = |id: &str| {
        hidden.iter().any(|file| {
            id.strip_prefix(file.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        })
    };
    let stated =
        checked.base.tests.iter().filter(|test| {
            is_stated(&checked.suite, test) && is_of_suite(&checked.suite, &test.id)
        });
    Ok(Ok(GoldCheck {
        instance_id: task.instance_id.clone(),
        n_files: tests.len(),
        hidden_place: tests
            .iter()
            .position(|path| hidden.contains(path))
            .map(|at| at + 1),
        hidden_ran: checked.run.tests.iter().any(|test| is_in_hidden(&test.id)),
        n_run: checked.run.tests.len(),
        n_not_run: checked.run.not_run.len(),
        base_s: checked.base_time.as_secs_f64(),
        check_s: checked.check_time.as_secs_f64(),
        regressions: checked.regressions,
        reproductions: stated
            .map(|test| Reproduction {
                name: test.id.rsplit("::").next().unwrap_or(&test.id).to_owned(),
                with_gold: outcome_in(&checked.run, &test.id).map(|test| test.result),
                message: outcome_in(&checked.run, &test.id)
                    .map_or_else(String::new, |test| test.message.clone()),
            })
            .collect(),
    }))
}

fn outcome_in<'a>(run: &'a SuiteRun, id: &str) -> Option<&'a TestOutcome> {
    run.tests.iter().find(|test| test.id == id)
}
