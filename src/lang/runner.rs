//! Runners of a repository's tests. JUnit XML, or what a runner writes as plainly, is the
//! contract.
//!
//! [`Runner::collect`] says which tests a tree has, once for each base. `pytest` collects by
//! the project's own configuration (names of files, examples in documentation, folders,
//! options); other runners go by the names of files. An option of the project that would
//! change which tests run, or run them elsewhere (`-x`, `-n auto`, `--cov`), is set back to
//! its default and told ([`Collected::options_dropped`]).
//!
//! A test that a run did not come to ([`Ran::not_run`]) has no result. It is in no rate,
//! rejects no patch, and is told beside every rate.
use super::suite::{Consolidated, IssueExamples, TestSource};
use super::{LangError, all, is_test_side, of_repository};
use crate::base::Budget;
use crate::record::{Coverage, Reached, TestOutcome, TestResult};
use crate::workspace::{CommandEnd, CommandOutput, Limits, Sandbox};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Lines (from 1) that a patch adds or changes, by path relative to the root.
pub type ChangedLines = BTreeMap<String, Vec<u32>>;

/// The one outcome of a command of the user's that leaves no XML.
pub const TEST_CMD_ID: &str = "test-cmd";
/// Lines of a dead run's output that go into a message.
const TAIL_LINES: usize = 4;

/// Limits of a run of tests.
#[derive(Clone, Copy, Debug)]
pub struct RunnerLimits {
    /// One test with its set-up and tear-down, or one file's import, seconds.
    pub test_s_max: u64,
    /// The whole run, tests that are run apart included, seconds; a build
    /// before it is not counted.
    pub run_s_max: u64,
    /// Memory, processes, files and output of one command; its wall time is
    /// set by the runner.
    pub command: Limits,
}

impl Default for RunnerLimits {
    fn default() -> Self {
        Self {
            test_s_max: Budget::default().test_s_max,
            run_s_max: 120,
            command: Limits {
                wall_s_max: 120,
                memory_bytes_max: 2 << 30,
                processes_max: 128,
                file_bytes_max: 256 << 20,
                output_bytes_max: 16_000,
            },
        }
    }
}

/// The part of a run's time that one run of the tests may take where nothing else is said.
const RUN_SHARE: u64 = 4;
/// Seconds of one run of the tests where nothing else is said, and time enough: on a patch that
/// may be chosen, and after an edit.
const VERIFY_S_MAX: u64 = 600;
const CHECK_S_MAX: u64 = 60;

impl RunnerLimits {
    /// Those of a run with this budget.
    pub fn of_run(budget: &Budget) -> Self {
        let share = (budget.wall_s_max / RUN_SHARE).clamp(1, VERIFY_S_MAX);
        Self {
            test_s_max: budget.test_s_max,
            run_s_max: budget.verify_s_max.unwrap_or(share),
            ..Self::default()
        }
    }

    /// Seconds of the tests before the search and after an edit, of a run with this budget.
    pub fn check_s_max(budget: &Budget) -> u64 {
        let most = Self::of_run(budget).run_s_max;
        budget.check_s_max.unwrap_or(CHECK_S_MAX.min(most))
    }

    /// The command limits with a wall time.
    pub(crate) fn wall(&self, seconds: u64) -> Limits {
        Limits {
            wall_s_max: seconds.max(1),
            ..self.command
        }
    }
}

/// The result of one run of tests.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ran {
    pub tests: Vec<TestOutcome>,
    /// Ids of the tests that the time did not suffice for; a file's or a part's where the
    /// tests in it are not known. They have neither passed nor failed.
    pub not_run: Vec<String>,
    /// A sentence where the run as a whole went wrong.
    pub fault: Option<String>,
}

/// The tests of a repository, as its runner finds them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collected {
    /// Files to run, in the runner's order: those with tests, and those that cannot be
    /// collected.
    pub targets: Vec<String>,
    /// Those of `targets` that are no test files: examples in their documentation are run, or
    /// tests that stand beside the code.
    pub documented: Vec<String>,
    /// All tests, in order; empty where the runner finds files only, or where finding the tests
    /// takes too long.
    pub ids: Vec<String>,
    /// Options of the project's own configuration that do not hold, each with the reason
    /// where it is not plain: they would change which tests run, or run them elsewhere.
    pub options_dropped: Vec<String>,
    /// A sentence where the project's own configuration could not be followed.
    pub fault: Option<String>,
}

impl Collected {
    /// Targets that were found by their names.
    pub fn by_name(targets: Vec<String>) -> Self {
        let is_source = |path: &&String| !is_test_side(path);
        Self {
            documented: targets.iter().filter(is_source).cloned().collect(),
            targets,
            ..Self::default()
        }
    }
}

/// A way to run the tests of a repository.
///
/// Results and counts are read from what the runner writes (JUnit XML, or a stream of
/// events) and from nothing else. Whatever keeps that from being written (a file that
/// cannot be collected, a process that hangs) is an `Error` outcome of what is at fault, so
/// that the rest still counts. Each test has [`RunnerLimits::test_s_max`] and is stopped
/// there, and none can fail by what another one left behind.
pub trait Runner {
    /// For messages: `pytest`.
    fn name(&self) -> &'static str;
    /// The same with so many seconds for one run of all tests.
    fn within(&self, run_s_max: u64) -> Box<dyn Runner + '_>;
    /// Where the consolidated suite stands, relative to the repository's root.
    fn suite_file(&self) -> &'static str;
    /// The command that a model is told to run the tests by.
    fn test_command(&self) -> &'static str;
    /// Whether a path is a test file by its name.
    fn is_test_file(&self, path: &str) -> bool;
    /// Whether a test of the suite can be made of this file.
    fn is_source(&self, path: &str) -> bool;
    /// The id of the outcome that says that nothing could be built, if there is such.
    fn build_id(&self) -> Option<&'static str> {
        None
    }
    /// The targets of a repository with these files, by their names: paths, in order.
    fn targets(&self, files: &[String]) -> Vec<String>;
    /// The tests of `dir`, a copy of a tree with these files, by the project's own
    /// configuration as far as the runner has one. Cost: imports all tests.
    fn collect(&self, _dir: &Path, files: &[String]) -> Result<Collected, LangError> {
        Ok(Collected::by_name(self.targets(files)))
    }
    /// All that decides beside the files which tests [`Self::collect`] finds: the interpreter and
    /// its packages. `None`: collecting costs nothing that would be worth keeping.
    fn packages(&self) -> Option<String> {
        None
    }

    /// The issue's own examples as sources of tests.
    fn issue_examples(&self, _repo_dir: &Path, _issue: &str) -> Result<IssueExamples, LangError> {
        Ok(IssueExamples::default())
    }
    /// The exception that ended a test that failed so, by its name, where it is one that a
    /// library defines: an assertion that failed, or what the language itself raises, is none.
    fn foreign_exception<'a>(&self, _message: &'a str) -> Option<&'a str> {
        None
    }
    /// One suite of many sources.
    fn consolidate(&self, sources: &[TestSource]) -> Result<Consolidated, LangError>;
    /// Why a source of this text cannot be collected in `dir`, a copy of a
    /// tree, by its own fault or for what it imports; the suite's file there is
    /// written over.
    fn source_fault(&self, dir: &Path, text: &str) -> Result<Option<String>, LangError>;
    /// The request to a model for tests, with a place for `{{known}}` ones.
    fn request_for_tests(&self) -> &'static str;
    /// One sentence for each of `files` (relative to `dir`) that does not
    /// compile, as far as that is known without running anything.
    fn compile_faults(&self, _dir: &Path, _files: &[String]) -> Result<Vec<String>, LangError> {
        Ok(Vec::new())
    }
    /// Runs `targets` (files or ids, relative to `dir`) with `dir` as the root.
    /// The runner itself leaves no file in `dir`.
    fn run(&self, dir: &Path, targets: &[String]) -> Result<Ran, LangError>;
    /// How many of `changed` lines `targets` run; `None` where it cannot be told.
    fn coverage(
        &self,
        _dir: &Path,
        _targets: &[String],
        _changed: &ChangedLines,
    ) -> Result<Option<Coverage>, LangError> {
        Ok(None)
    }
    /// Functions of the repository that the tests `names` of a suite with this text run
    /// in `dir`; empty where that cannot be seen.
    fn reached(
        &self,
        _dir: &Path,
        _suite: &str,
        _names: &[&str],
    ) -> Result<Vec<Reached>, LangError> {
        Ok(Vec::new())
    }
    /// Where it runs them.
    fn sandbox(&self) -> &Sandbox;
    /// Limits of a command of the user's that runs them.
    fn command_limits(&self) -> Limits;
}

/// The runner that fits a repository with these files (paths relative to its root); the
/// first language's whose project it is. `None` where there is none.
///
/// Errors: `NoPytest`; `NoRunner` with what to do.
pub fn runner_for<'a>(
    sandbox: &'a Sandbox,
    limits: RunnerLimits,
    files: &[String],
) -> Result<Option<Box<dyn Runner + 'a>>, LangError> {
    let project = all().find(|language| language.is_project(files));
    // Without a sign of a project, what most of the code is written in.
    let language = project.unwrap_or_else(|| of_repository(files.iter().map(String::as_str)));
    language.runner(sandbox, limits, files)
}

/// True for the id of what could not be collected: a file's path, or a part of a file
/// with `::*`.
pub fn is_container(id: &str) -> bool {
    id.ends_with("::*") || !(id.contains("::") || id == TEST_CMD_ID)
}

/// A file that could not be run, by its own fault.
pub(crate) fn at_fault(id: &str, output: &CommandOutput) -> TestOutcome {
    error_outcome(id, end_of(output), output.wall_ms)
}

pub(crate) fn error_outcome(id: &str, message: String, ms: u64) -> TestOutcome {
    TestOutcome {
        id: id.to_owned(),
        result: TestResult::Error,
        message,
        ms,
    }
}

/// Makes errors of tests that took longer than they may: they came to no result in time.
pub(super) fn mark_slow(tests: &mut [TestOutcome], test_s_max: u64) {
    let is_slow = |test: &&mut TestOutcome| test.ms > 1_000 * test_s_max && !is_container(&test.id);
    for test in tests.iter_mut().filter(is_slow) {
        test.result = TestResult::Error;
        test.message = slow(test_s_max);
    }
}

pub(super) fn slow(seconds: u64) -> String {
    format!("took longer than {seconds} s")
}

/// How a command ended, as the rest of a sentence.
pub fn end_of(output: &CommandOutput) -> String {
    let end = match output.end {
        CommandEnd::TimedOut => {
            return format!("took longer than {} s", output.wall_ms / 1_000);
        }
        CommandEnd::Signalled(signal) => format!("died of signal {signal}"),
        CommandEnd::Exited(status) => format!("ended with status {status}"),
    };
    let lines: Vec<&str> = output
        .text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    match lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n") {
        tail if tail.is_empty() => end,
        tail => format!("{end}: {tail}"),
    }
}
