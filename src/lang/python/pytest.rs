//! Python's tests, by pytest: one process collects and forks a child for each
//! test (`pytest_main.py`). Where no XML arrives (a file's import hung or ended
//! the process), files are run apart, so that only those at fault are errors.
use super::Python;
use super::compile::compile_faults;
use super::consolidate::{SUITE_FILE, consolidate, strict};
use super::examples::issue_examples;
use super::trace::trace;
use super::xml::parse_junit;
use crate::lang::{
    ChangedLines, Consolidated, IssueExamples, LangError, Language, Ran, Runner, RunnerLimits,
    SourceKind, TestRole, TestSource, end_of, private_dir, private_name, read_private,
};
use crate::record::{Coverage, Reached, TestOutcome};
use crate::workspace::{CommandEnd, CommandOutput, Limits, Sandbox, WorkspaceError};
use serde::Serialize;
use std::path::Path;
use std::time::{Duration, Instant};

const PYTEST_MAIN: &str = include_str!("pytest_main.py");

/// Folders of pytest in its own repository, by layout.
const OWN_PYTEST: [&str; 2] = ["src/pytest.py", "src/pytest/__init__.py"];

/// Lines of an error of collection that are told.
const ERROR_LINES_MAX: usize = 4;

/// pytest's exit status for a command line that it does not take.
const USAGE_ERROR: CommandEnd = CommandEnd::Exited(4);

/// Runs pytest with one interpreter.
pub(super) struct PytestRunner<'a> {
    pub sandbox: &'a Sandbox,
    pub limits: RunnerLimits,
    has_coverage: bool,
}

impl<'a> PytestRunner<'a> {
    /// `files` are the repository's paths.
    ///
    /// Errors: `NoPytest` where the interpreter cannot import it; `NoRunner` where it is too
    /// old for the helpers that read the suite, and there is no other.
    pub fn new(
        sandbox: &'a Sandbox,
        limits: RunnerLimits,
        files: &[String],
    ) -> Result<Self, LangError> {
        sandbox
            .own_python()
            .map_err(|error| LangError::NoRunner(error.to_string()))?;
        let scratch = tempfile::tempdir()
            .map_err(|source| LangError::io("make a folder in", &std::env::temp_dir(), source))?;
        let imports = |module: &str| -> Result<bool, LangError> {
            let line = format!("import {module}");
            let argv = ["python3", "-B", "-c", &line];
            let output = sandbox.run(scratch.path(), &argv, &limits.wall(60))?;
            Ok(output.end == CommandEnd::Exited(0))
        };
        // pytest's own repository, installed in editable mode: it is there only where a
        // workspace is.
        let is_own = files.iter().any(|path| OWN_PYTEST.contains(&path.as_str()));
        if !is_own && !imports("pytest")? {
            return Err(LangError::NoPytest {
                python: sandbox.python().to_owned(),
            });
        }
        Ok(Self {
            sandbox,
            limits,
            has_coverage: imports("coverage")?,
        })
    }

    /// One pytest process over `targets`; without the repository's `addopts`
    /// if pytest does not understand them.
    pub(super) fn pytest(
        &self,
        dir: &Path,
        targets: &[String],
        seconds: u64,
    ) -> Result<Attempt, LangError> {
        self.pytest_with(dir, targets, seconds, "")
    }

    /// `coverage` is a path relative to `dir`, or empty: see `pytest_main.py`.
    fn pytest_with(
        &self,
        dir: &Path,
        targets: &[String],
        seconds: u64,
        coverage: &str,
    ) -> Result<Attempt, LangError> {
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
) -> Result<Attempt, LangError> {
    let private = private_dir(dir)?;
    let output = command(&format!("{}/junit.xml", private_name(private.path())))?;
    let tests = read_private(&private.path().join("junit.xml"))
        .and_then(|bytes| parse_junit(&String::from_utf8_lossy(&bytes), dir));
    Ok(Attempt { output, tests })
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

    fn test_command(&self) -> &'static str {
        "python3 -m pytest -q"
    }

    fn is_test_file(&self, path: &str) -> bool {
        Python.test_role(path) == TestRole::Target
    }

    fn is_source(&self, path: &str) -> bool {
        Python.owns(path)
    }

    fn targets(&self, files: &[String]) -> Vec<String> {
        let own = |path: &&String| self.is_test_file(path) && path.as_str() != SUITE_FILE;
        files.iter().filter(own).cloned().collect()
    }

    fn issue_examples(&self, repo_dir: &Path, issue: &str) -> Result<IssueExamples, LangError> {
        issue_examples(self.sandbox, repo_dir, issue)
    }

    fn consolidate(&self, sources: &[TestSource]) -> Result<Consolidated, LangError> {
        consolidate(self.sandbox, sources)
    }

    fn source_fault(&self, dir: &Path, text: &str) -> Result<Option<String>, LangError> {
        let source = TestSource {
            origin: String::new(),
            kind: SourceKind::Written,
            path: None,
            text: text.to_owned(),
        };
        let suite = strict(self.sandbox, &source)?;
        if let Some(dropped) = suite.dropped.into_iter().next() {
            return Ok(Some(dropped.why));
        }
        let path = dir.join(SUITE_FILE);
        std::fs::remove_file(&path).ok();
        std::fs::write(&path, suite.text).map_err(|e| LangError::io("write", &path, e))?;
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
        include_str!("augment.md")
    }

    fn compile_faults(&self, dir: &Path, files: &[String]) -> Result<Vec<String>, LangError> {
        let python = files.iter().filter(|path| Python.owns(path));
        compile_faults(self.sandbox, dir, &python.cloned().collect::<Vec<_>>())
    }

    fn run(&self, dir: &Path, targets: &[String]) -> Result<Ran, LangError> {
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
    ) -> Result<Option<Coverage>, LangError> {
        if !self.has_coverage || targets.is_empty() {
            return Ok(None);
        }
        let private = private_dir(dir)?;
        let place = private.path().join("coverage.json");
        let request =
            serde_json::to_vec(&CoverageRequest { changed }).expect("requests serialise to JSON");
        std::fs::write(&place, request).map_err(|e| LangError::io("write", &place, e))?;
        let inside = format!("{}/coverage.json", private_name(private.path()));
        let attempt = self.pytest_with(dir, targets, self.limits.run_s_max, &inside)?;
        // Where the run broke off, or a test wrote something else there, there
        // is no figure.
        let reply = attempt.tests.and_then(|_| read_private(&place));
        Ok(reply.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    fn reached(&self, dir: &Path, suite: &str, names: &[&str]) -> Result<Vec<Reached>, LangError> {
        match trace(self.sandbox, dir, suite, names) {
            // A help to a search, not a need.
            Err(LangError::Script { .. }) => Ok(Vec::new()),
            reached => reached,
        }
    }

    fn sandbox(&self) -> &Sandbox {
        self.sandbox
    }

    fn command_limits(&self) -> Limits {
        self.limits.wall(self.limits.run_s_max)
    }
}
