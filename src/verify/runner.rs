//! Runs tests in the sandbox, by the runner that fits the repository or by the
//! user's own command. JUnit XML is the contract.
use super::examples::IssueExamples;
use super::junit::{count, parse_junit};
use super::nextest::NextestRunner;
use super::pytest::PytestRunner;
use super::script::{private_dir, private_name, read_private};
use super::suite::{Consolidated, TestSource};
use super::{ChangedLines, VerifyError};
use crate::base::BranchId;
use crate::record::{Coverage, SuiteRun, TestOutcome, TestResult};
use crate::workspace::{CommandEnd, CommandOutput, Limits, Sandbox, WorkspaceError};
use std::path::Path;

/// The one outcome of a command of the user's that is no pytest.
const TEST_CMD_ID: &str = "test-cmd";
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
            test_s_max: 5,
            run_s_max: 120,
            command: Limits {
                wall_s_max: 120,
                memory_bytes_max: 2 << 30,
                processes_max: 128,
                file_bytes_max: 64 << 20,
                output_bytes_max: 16_000,
            },
        }
    }
}

impl RunnerLimits {
    /// The command limits with a wall time.
    pub(super) fn wall(&self, seconds: u64) -> Limits {
        Limits {
            wall_s_max: seconds.max(1),
            ..self.command
        }
    }
}

/// What one run of tests found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ran {
    pub tests: Vec<TestOutcome>,
    /// A sentence where the run as a whole went wrong.
    pub fault: Option<String>,
}

/// A way to run the tests of a repository.
///
/// The contract is JUnit XML: results and counts are read from it and from
/// nothing else. Whatever keeps the XML from being written (a file that cannot
/// be collected, a process that hangs) is an `Error` outcome of what is at
/// fault, so that the rest still counts. Each test runs in a process of its
/// own, within [`RunnerLimits::test_s_max`], and is stopped there.
pub trait Runner {
    /// For messages: `pytest`.
    fn name(&self) -> &'static str;
    /// Where the consolidated suite stands, relative to the repository's root.
    fn suite_file(&self) -> &'static str;
    /// Whether a path is a test file by its name.
    fn is_test_file(&self, path: &str) -> bool;
    /// Whether a test of the suite can be made of this file.
    fn is_source(&self, path: &str) -> bool;
    /// What to run of a repository with these files: paths, in order.
    fn targets(&self, files: &[String]) -> Vec<String>;
    /// The issue's own examples as sources of tests.
    fn issue_examples(&self, repo_dir: &Path, issue: &str) -> Result<IssueExamples, VerifyError>;
    /// One suite of many sources.
    fn consolidate(&self, sources: &[TestSource]) -> Result<Consolidated, VerifyError>;
    /// Why a source of this text cannot be collected in `dir`, a copy of a
    /// tree, by its own fault or for what it imports; the suite's file there is
    /// written over.
    fn source_fault(&self, dir: &Path, text: &str) -> Result<Option<String>, VerifyError>;
    /// What a model is told to write tests, with a place for `{{known}}` ones.
    fn request_for_tests(&self) -> &'static str;
    /// One sentence for each of `files` (relative to `dir`) that does not
    /// compile, as far as that is known without running anything.
    fn compile_faults(&self, dir: &Path, files: &[String]) -> Result<Vec<String>, VerifyError>;
    /// Runs `targets` (files or ids, relative to `dir`) with `dir` as the root.
    /// The runner itself leaves no file in `dir`.
    fn run(&self, dir: &Path, targets: &[String]) -> Result<Ran, VerifyError>;
    /// How many of `changed` lines `targets` run; `None` where it cannot be told.
    fn coverage(
        &self,
        dir: &Path,
        targets: &[String],
        changed: &ChangedLines,
    ) -> Result<Option<Coverage>, VerifyError>;
    /// Where it runs them.
    fn sandbox(&self) -> &Sandbox;
    /// Limits of a command of the user's that runs them.
    fn command_limits(&self) -> Limits;
}

/// Runs a repository's tests and the consolidated suite.
pub struct TestRunner<'a> {
    sandbox: &'a Sandbox,
    test_cmd: Option<String>,
    runner: Box<dyn Runner + 'a>,
}

impl<'a> TestRunner<'a> {
    /// Runs tests by pytest. Checks that the interpreter has it, unless the
    /// user named a command.
    ///
    /// A `test_cmd` is a shell command line for the repository's own tests. If
    /// pytest occurs in it, it is given a place for the XML at its end (so
    /// pytest has to come last); otherwise its exit status counts as one test
    /// called `test-cmd`. Errors: `NoPytest`.
    pub fn new(
        sandbox: &'a Sandbox,
        limits: RunnerLimits,
        test_cmd: Option<String>,
    ) -> Result<Self, VerifyError> {
        let pytest = PytestRunner::new(sandbox, limits)?;
        if !pytest.is_there() && test_cmd.is_none() {
            return Err(VerifyError::NoPytest {
                python: sandbox.python().to_owned(),
            });
        }
        Ok(Self {
            sandbox,
            test_cmd,
            runner: Box::new(pytest),
        })
    }

    /// The same by what the repository is: cargo-nextest where `files` (paths
    /// of the base, relative to its root) hold a `Cargo.toml` at the root and
    /// no test file of Python's, else pytest.
    ///
    /// Errors: `NoPytest`; `NoNextest` with what to do.
    pub fn for_files(
        sandbox: &'a Sandbox,
        limits: RunnerLimits,
        test_cmd: Option<String>,
        files: &[String],
    ) -> Result<Self, VerifyError> {
        let is_rust = files.iter().any(|path| path == "Cargo.toml")
            && super::repository_tests(files).is_empty();
        if !is_rust {
            return Self::new(sandbox, limits, test_cmd);
        }
        Ok(Self {
            sandbox,
            test_cmd,
            runner: Box::new(NextestRunner::new(sandbox, limits)?),
        })
    }

    /// The sandbox of this module's helpers; tests run in the runner's own.
    pub fn sandbox(&self) -> &'a Sandbox {
        self.sandbox
    }

    /// The runner that was chosen.
    pub fn runner(&self) -> &dyn Runner {
        self.runner.as_ref()
    }

    /// Runs `targets` (files or ids, relative to `dir`) with `dir` as the root.
    ///
    /// A target that cannot be collected, a test that hangs or takes its
    /// process down is an `Error` outcome; `fault` says where the run as a
    /// whole went wrong. The runner itself leaves no file in `dir`.
    pub fn run(
        &self,
        branch: Option<BranchId>,
        dir: &Path,
        targets: &[String],
    ) -> Result<SuiteRun, VerifyError> {
        if targets.is_empty() {
            return Ok(suite_run(branch, Ran::default()));
        }
        Ok(suite_run(branch, self.runner.run(dir, targets)?))
    }

    /// Runs `suite` by the runner and the repository's own tests: `repository`
    /// with it, or the user's command in their stead.
    pub fn run_all(
        &self,
        branch: Option<BranchId>,
        dir: &Path,
        suite: &[String],
        repository: &[String],
    ) -> Result<SuiteRun, VerifyError> {
        let Some(command) = &self.test_cmd else {
            return self.run(branch, dir, &[suite, repository].concat());
        };
        let mut run = self.run(branch, dir, suite)?;
        let own = self.run_test_cmd(dir, command)?;
        for test in own.tests {
            if !run.tests.iter().any(|known| known.id == test.id) {
                run.tests.push(test);
            }
        }
        let fault = [run.fault, own.fault].into_iter().flatten();
        let ran = Ran {
            tests: run.tests,
            fault: fault.reduce(|first, second| format!("{first}; {second}")),
        };
        Ok(suite_run(branch, ran))
    }

    /// How many of `changed` lines the suite and the repository's own tests
    /// run; without those where a command of the user's runs them.
    pub(super) fn coverage(
        &self,
        dir: &Path,
        suite: &[String],
        repository: &[String],
        changed: &ChangedLines,
    ) -> Result<Option<Coverage>, VerifyError> {
        let own = match self.test_cmd {
            Some(_) => &[][..],
            None => repository,
        };
        self.runner.coverage(dir, &[suite, own].concat(), changed)
    }

    fn run_test_cmd(&self, dir: &Path, command: &str) -> Result<Ran, VerifyError> {
        let (sandbox, limits) = (self.runner.sandbox(), self.runner.command_limits());
        if !command.contains("pytest") {
            let output = sandbox.shell(dir, command, &limits)?;
            let fault = (output.end == CommandEnd::TimedOut)
                .then(|| format!("the test command {}", end_of(&output)));
            return Ok(Ran {
                tests: vec![command_outcome(&output)],
                fault,
            });
        }
        let attempt = attempt(dir, |xml| {
            // The command may change its directory: the place is absolute.
            let line = format!(
                "EGSS_JUNIT=\"$PWD/{xml}\"; export EGSS_JUNIT; {command} --junitxml=\"$EGSS_JUNIT\""
            );
            sandbox.shell(dir, &line, &limits)
        })?;
        Ok(match attempt.tests {
            Some(tests) => Ran { tests, fault: None },
            None => Ran {
                fault: Some(format!(
                    "the test command left no JUnit XML: it {}",
                    end_of(&attempt.output)
                )),
                tests: vec![command_outcome(&attempt.output)],
            },
        })
    }
}

/// A command's end with what its XML said, if there was any.
pub(super) struct Attempt {
    pub output: CommandOutput,
    pub tests: Option<Vec<TestOutcome>>,
}

/// Runs a command that writes pytest's XML to the path it is given (relative to
/// `dir`), and reads that. The place is new and of an unguessable name, so
/// a file that the repository holds is never taken for it.
pub(super) fn attempt(
    dir: &Path,
    command: impl FnOnce(&str) -> Result<CommandOutput, WorkspaceError>,
) -> Result<Attempt, VerifyError> {
    let private = private_dir(dir)?;
    let output = command(&format!("{}/junit.xml", private_name(private.path())))?;
    let tests = read_private(&private.path().join("junit.xml"))
        .and_then(|bytes| parse_junit(&String::from_utf8_lossy(&bytes), dir));
    Ok(Attempt { output, tests })
}

fn suite_run(branch: Option<BranchId>, ran: Ran) -> SuiteRun {
    SuiteRun {
        branch,
        counts: count(&ran.tests),
        tests: ran.tests,
        fault: ran.fault,
        coverage: None,
    }
}

fn command_outcome(output: &CommandOutput) -> TestOutcome {
    let result = match output.end {
        CommandEnd::Exited(0) => TestResult::Passed,
        CommandEnd::Exited(_) => TestResult::Failed,
        CommandEnd::Signalled(_) | CommandEnd::TimedOut => TestResult::Error,
    };
    TestOutcome {
        id: TEST_CMD_ID.to_owned(),
        result,
        message: match result {
            TestResult::Passed => String::new(),
            _ => end_of(output),
        },
        ms: output.wall_ms,
    }
}

/// What could not be run, by its own fault.
pub(super) fn at_fault(id: &str, output: &CommandOutput) -> TestOutcome {
    error_outcome(id, end_of(output), output.wall_ms)
}

pub(super) fn error_outcome(id: &str, message: String, ms: u64) -> TestOutcome {
    TestOutcome {
        id: id.to_owned(),
        result: TestResult::Error,
        message,
        ms,
    }
}

/// How a command ended, as the rest of a sentence.
pub(super) fn end_of(output: &CommandOutput) -> String {
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
