//! Runs tests in the sandbox. JUnit XML is the contract; where none arrives
//! (the process hung or died), tests are run apart, so that only those at
//! fault are errors.
use super::VerifyError;
use super::junit::{count, parse_junit};
use super::script::{private_dir, private_name, read_private};
use crate::base::BranchId;
use crate::record::{SuiteRun, TestOutcome, TestResult};
use crate::workspace::{CommandEnd, CommandOutput, Limits, Sandbox, WorkspaceError};
use std::path::Path;
use std::time::{Duration, Instant};

const PYTEST_MAIN: &str = include_str!("pytest_main.py");

/// pytest's exit status for a command line that it does not take.
const USAGE_ERROR: CommandEnd = CommandEnd::Exited(4);
/// The one outcome of a command of the user's that is no pytest.
const TEST_CMD_ID: &str = "test-cmd";
/// Lines of a dead run's output that go into a message.
const TAIL_LINES: usize = 4;

/// Limits of a run of tests.
#[derive(Clone, Copy, Debug)]
pub struct RunnerLimits {
    /// One test with its set-up and tear-down, or one file's import, seconds.
    pub test_s_max: u64,
    /// The whole run, tests that are run apart included, seconds.
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

/// Runs tests by pytest, or by the user's own command.
pub struct TestRunner<'a> {
    sandbox: &'a Sandbox,
    pub(super) limits: RunnerLimits,
    test_cmd: Option<String>,
    has_pytest: bool,
}

/// A command's end with what its XML said, if there was any.
pub(super) struct Attempt {
    pub output: CommandOutput,
    pub tests: Option<Vec<TestOutcome>>,
}

impl<'a> TestRunner<'a> {
    /// Checks that the interpreter has pytest (unless the user named a command).
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
        let mut runner = Self {
            sandbox,
            limits,
            test_cmd,
            has_pytest: false,
        };
        runner.has_pytest = runner.imports_pytest()?;
        if !runner.has_pytest && runner.test_cmd.is_none() {
            return Err(VerifyError::NoPytest {
                python: sandbox.python().to_owned(),
            });
        }
        Ok(runner)
    }

    /// The sandbox that tests run in.
    pub fn sandbox(&self) -> &'a Sandbox {
        self.sandbox
    }

    /// Runs `targets` (files or ids, relative to `dir`) by pytest with `dir` as
    /// the root.
    ///
    /// A target that cannot be collected, a test that hangs or takes the
    /// interpreter down is an `Error` outcome; `fault` says where the run as a
    /// whole went wrong. The runner itself leaves no file in `dir`.
    pub fn run(
        &self,
        branch: Option<BranchId>,
        dir: &Path,
        targets: &[String],
    ) -> Result<SuiteRun, VerifyError> {
        if targets.is_empty() {
            return Ok(suite_run(branch, Vec::new(), None));
        }
        if !self.has_pytest {
            let fault = "the interpreter has no pytest: the suite was not run".to_owned();
            return Ok(suite_run(branch, Vec::new(), Some(fault)));
        }
        let deadline = Instant::now() + Duration::from_secs(self.limits.run_s_max);
        // What hangs or dies in half of the time is run apart in the rest.
        let whole = self.pytest(dir, targets, self.limits.run_s_max.div_ceil(2))?;
        if let Some(tests) = whole.tests {
            return Ok(suite_run(branch, tests, None));
        }
        let tests = self.run_apart(dir, targets, &whole.output, deadline)?;
        let fault = format!(
            "the run as a whole {}; its tests were run apart",
            end_of(&whole.output)
        );
        Ok(suite_run(branch, tests, Some(fault)))
    }

    /// Runs `suite` by pytest and the repository's own tests: `repository` by
    /// pytest in the same process, or the user's command in their stead.
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
        let own = self.run_test_cmd(branch, dir, command)?;
        for test in own.tests {
            if !run.tests.iter().any(|known| known.id == test.id) {
                run.tests.push(test);
            }
        }
        let fault = [run.fault, own.fault].into_iter().flatten();
        let fault = fault.reduce(|first, second| format!("{first}; {second}"));
        Ok(suite_run(branch, run.tests, fault))
    }

    fn run_test_cmd(
        &self,
        branch: Option<BranchId>,
        dir: &Path,
        command: &str,
    ) -> Result<SuiteRun, VerifyError> {
        let limits = self.wall(self.limits.run_s_max);
        if !command.contains("pytest") {
            let output = self.sandbox.shell(dir, command, &limits)?;
            let fault = (output.end == CommandEnd::TimedOut)
                .then(|| format!("the test command {}", end_of(&output)));
            return Ok(suite_run(branch, vec![command_outcome(&output)], fault));
        }
        let attempt = self.attempt(dir, |xml| {
            // The command may change its directory: the place is absolute.
            let line = format!(
                "EGSS_JUNIT=\"$PWD/{xml}\"; export EGSS_JUNIT; {command} --junitxml=\"$EGSS_JUNIT\""
            );
            self.sandbox.shell(dir, &line, &limits)
        })?;
        Ok(match attempt.tests {
            Some(tests) => suite_run(branch, tests, None),
            None => {
                let fault = format!(
                    "the test command left no JUnit XML: it {}",
                    end_of(&attempt.output)
                );
                suite_run(branch, vec![command_outcome(&attempt.output)], Some(fault))
            }
        })
    }

    fn imports_pytest(&self) -> Result<bool, VerifyError> {
        let scratch = tempfile::tempdir()
            .map_err(|source| VerifyError::io("make a folder in", &std::env::temp_dir(), source))?;
        let output = self.sandbox.run(
            scratch.path(),
            &["python3", "-B", "-c", "import pytest"],
            &self.wall(60),
        )?;
        Ok(output.end == CommandEnd::Exited(0))
    }

    /// One pytest process over `targets`; without the repository's `addopts`
    /// if pytest does not understand them.
    pub(super) fn pytest(
        &self,
        dir: &Path,
        targets: &[String],
        seconds: u64,
    ) -> Result<Attempt, VerifyError> {
        let test_s_max = self.limits.test_s_max.to_string();
        let once = |extra: &[&str]| {
            self.attempt(dir, |xml| {
                let xml = format!("--junitxml={xml}");
                let mut argv = pytest_argv(&test_s_max);
                // Whatever the repository asks for, every test is run, and the
                // XML names the file of each.
                argv.extend(["--maxfail=0", "--continue-on-collection-errors"]);
                argv.extend(["-o", "junit_family=xunit1", &xml]);
                argv.extend(extra);
                argv.extend(targets.iter().map(String::as_str));
                self.sandbox.run(dir, &argv, &self.wall(seconds))
            })
        };
        let mut attempt = once(&[])?;
        if attempt.tests.is_none() && attempt.output.end == USAGE_ERROR {
            attempt = once(&["-o", "addopts="])?;
        }
        // Interrupted or broken inside: what the XML holds is not all.
        if !matches!(attempt.output.end, CommandEnd::Exited(0 | 1 | 5)) {
            attempt.tests = None;
        }
        Ok(attempt)
    }

    /// Runs a command that writes XML to the path it is given (relative to
    /// `dir`), and reads that. The place is new and of an unguessable name, so
    /// a file that the repository holds is never taken for it.
    fn attempt(
        &self,
        dir: &Path,
        command: impl FnOnce(&str) -> Result<CommandOutput, WorkspaceError>,
    ) -> Result<Attempt, VerifyError> {
        let private = private_dir(dir)?;
        let output = command(&format!("{}/junit.xml", private_name(private.path())))?;
        let tests = read_private(&private.path().join("junit.xml"))
            .and_then(|bytes| parse_junit(&String::from_utf8_lossy(&bytes), dir));
        Ok(Attempt { output, tests })
    }

    /// The command limits with a wall time.
    pub(super) fn wall(&self, seconds: u64) -> Limits {
        Limits {
            wall_s_max: seconds.max(1),
            ..self.limits.command
        }
    }
}

/// pytest under the per-test limit, quiet and without its cache, at the root.
pub(super) fn pytest_argv(test_s_max: &str) -> Vec<&str> {
    let mut argv = vec!["python3", "-B", "-c", PYTEST_MAIN, test_s_max, ""];
    argv.extend(["-q", "-p", "no:cacheprovider", "--color=no", "--rootdir=."]);
    argv
}

fn suite_run(branch: Option<BranchId>, tests: Vec<TestOutcome>, fault: Option<String>) -> SuiteRun {
    SuiteRun {
        branch,
        counts: count(&tests),
        tests,
        fault,
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
