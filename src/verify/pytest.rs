//! Python's tests, by pytest: one process collects and forks a child for each
//! test (`pytest_main.py`). Where no XML arrives (a file's import hung or ended
//! the process), files are run apart, so that only those at fault are errors.
use super::examples::{IssueExamples, issue_examples};
use super::runner::{Attempt, Ran, Runner, RunnerLimits, attempt, end_of};
use super::script::{private_dir, private_name, read_private};
use super::suite::{Consolidated, SUITE_FILE, SourceKind, TestSource, consolidate, strict};
use super::{ChangedLines, VerifyError, compile_faults, repository};
use crate::record::Coverage;
use crate::workspace::{CommandEnd, Limits, Sandbox};
use serde::Serialize;
use std::path::Path;
use std::time::{Duration, Instant};

const PYTEST_MAIN: &str = include_str!("pytest_main.py");

/// Lines of an error of collection that are told.
const ERROR_LINES_MAX: usize = 4;

/// pytest's exit status for a command line that it does not take.
const USAGE_ERROR: CommandEnd = CommandEnd::Exited(4);

/// Runs pytest with one interpreter.
pub(super) struct PytestRunner<'a> {
    pub sandbox: &'a Sandbox,
    pub limits: RunnerLimits,
    is_there: bool,
    has_coverage: bool,
}

impl<'a> PytestRunner<'a> {
    pub fn new(sandbox: &'a Sandbox, limits: RunnerLimits) -> Result<Self, VerifyError> {
        let scratch = tempfile::tempdir()
            .map_err(|source| VerifyError::io("make a folder in", &std::env::temp_dir(), source))?;
        let imports = |module: &str| -> Result<bool, VerifyError> {
            let line = format!("import {module}");
            let argv = ["python3", "-B", "-c", &line];
            let output = sandbox.run(scratch.path(), &argv, &limits.wall(60))?;
            Ok(output.end == CommandEnd::Exited(0))
        };
        let is_there = imports("pytest")?;
        Ok(Self {
            sandbox,
            limits,
            is_there,
            has_coverage: is_there && imports("coverage")?,
        })
    }

    /// Whether the interpreter has pytest.
    pub fn is_there(&self) -> bool {
        self.is_there
    }

    /// One pytest process over `targets`; without the repository's `addopts`
    /// if pytest does not understand them.
    pub(super) fn pytest(
        &self,
        dir: &Path,
        targets: &[String],
        seconds: u64,
    ) -> Result<Attempt, VerifyError> {
        self.pytest_with(dir, targets, seconds, "")
    }

    /// `coverage` is a path relative to `dir`, or empty: see `pytest_main.py`.
    fn pytest_with(
        &self,
        dir: &Path,
        targets: &[String],
        seconds: u64,
        coverage: &str,
    ) -> Result<Attempt, VerifyError> {
        let test_s_max = self.limits.test_s_max.to_string();
        let once = |extra: &[&str]| {
            attempt(dir, |xml| {
                let xml = format!("--junitxml={xml}");
                let mut argv = argv(&test_s_max, coverage);
                // Whatever the repository asks for, every test is run, and the
                // XML names the file of each.
                argv.extend(["--maxfail=0", "--continue-on-collection-errors"]);
                argv.extend(["-o", "junit_family=xunit1", &xml]);
                argv.extend(extra);
                argv.extend(targets.iter().map(String::as_str));
                self.sandbox.run(dir, &argv, &self.limits.wall(seconds))
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
}

/// pytest under the per-test limit, quiet and without its cache, at the root.
pub(super) fn argv<'a>(test_s_max: &'a str, coverage: &'a str) -> Vec<&'a str> {
    let mut argv = vec!["python3", "-B", "-c", PYTEST_MAIN, test_s_max, coverage];
    argv.extend(["-q", "-p", "no:cacheprovider", "--color=no", "--rootdir=."]);
    argv
}

#[derive(Serialize)]
struct CoverageRequest<'a> {
    changed: &'a ChangedLines,
}

impl Runner for PytestRunner<'_> {
    fn name(&self) -> &'static str {
        "pytest"
    }

    fn suite_file(&self) -> &'static str {
        SUITE_FILE
    }

    fn is_test_file(&self, path: &str) -> bool {
        repository::is_test_file(path)
    }

    fn is_source(&self, path: &str) -> bool {
        path.ends_with(".py")
    }

    fn targets(&self, files: &[String]) -> Vec<String> {
        repository::repository_tests(files)
    }

    fn issue_examples(&self, repo_dir: &Path, issue: &str) -> Result<IssueExamples, VerifyError> {
        issue_examples(self.sandbox, repo_dir, issue)
    }

    fn consolidate(&self, sources: &[TestSource]) -> Result<Consolidated, VerifyError> {
        consolidate(self.sandbox, sources)
    }

    fn source_fault(&self, dir: &Path, text: &str) -> Result<Option<String>, VerifyError> {
        let source = TestSource {
            origin: String::new(),
            kind: SourceKind::Written,
            text: text.to_owned(),
        };
        let suite = strict(self.sandbox, &source)?;
        if let Some(dropped) = suite.dropped.into_iter().next() {
            return Ok(Some(dropped.why));
        }
        let path = dir.join(SUITE_FILE);
        std::fs::remove_file(&path).ok();
        std::fs::write(&path, suite.text).map_err(|e| VerifyError::io("write", &path, e))?;
        let listed = self.list(dir, SUITE_FILE, self.limits.run_s_max)?;
        if listed.end == CommandEnd::Exited(0) {
            return Ok(None);
        }
        let errors = listed
            .text
            .lines()
            .filter_map(|line| line.strip_prefix("E  "));
        let errors: Vec<&str> = errors.map(str::trim).take(ERROR_LINES_MAX).collect();
        Ok(Some(match errors.is_empty() {
            true => format!("collecting it {}", end_of(&listed)),
            false => errors.join("\n"),
        }))
    }

    fn request_for_tests(&self) -> &'static str {
        include_str!("prompts/augment_python.md")
    }

    fn compile_faults(&self, dir: &Path, files: &[String]) -> Result<Vec<String>, VerifyError> {
        let python = files.iter().filter(|path| path.ends_with(".py"));
        compile_faults(self.sandbox, dir, &python.cloned().collect::<Vec<_>>())
    }

    fn run(&self, dir: &Path, targets: &[String]) -> Result<Ran, VerifyError> {
        if !self.is_there {
            return Ok(Ran {
                tests: Vec::new(),
                fault: Some("the interpreter has no pytest: the suite was not run".to_owned()),
            });
        }
        let deadline = Instant::now() + Duration::from_secs(self.limits.run_s_max);
        // What hangs or dies in half of the time is run apart in the rest.
        let whole = self.pytest(dir, targets, self.limits.run_s_max.div_ceil(2))?;
        if let Some(tests) = whole.tests {
            return Ok(Ran { tests, fault: None });
        }
        let tests = self.run_apart(dir, targets, &whole.output, deadline)?;
        let fault = format!(
            "the run as a whole {}; its tests were run apart",
            end_of(&whole.output)
        );
        Ok(Ran {
            tests,
            fault: Some(fault),
        })
    }

    fn coverage(
        &self,
        dir: &Path,
        targets: &[String],
        changed: &ChangedLines,
    ) -> Result<Option<Coverage>, VerifyError> {
        if !self.has_coverage || targets.is_empty() {
            return Ok(None);
        }
        let private = private_dir(dir)?;
        let place = private.path().join("coverage.json");
        let request =
            serde_json::to_vec(&CoverageRequest { changed }).expect("requests serialise to JSON");
        std::fs::write(&place, request).map_err(|e| VerifyError::io("write", &place, e))?;
        let inside = format!("{}/coverage.json", private_name(private.path()));
        let attempt = self.pytest_with(dir, targets, self.limits.run_s_max, &inside)?;
        // Where the run broke off, or a test wrote something else there, there
        // is no figure.
        let reply = attempt.tests.and_then(|_| read_private(&place));
        Ok(reply.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    fn sandbox(&self) -> &Sandbox {
        self.sandbox
    }

    fn command_limits(&self) -> Limits {
        self.limits.wall(self.limits.run_s_max)
    }
}
