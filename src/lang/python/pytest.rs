//! Python's tests, by pytest and by the project's own configuration: one process collects,
//! its child runs the tests (`egss_pytest`), and each result is told when it is there.
//!
//! The tests run one after another in the child, with fixtures of every scope alive
//! (`egss_pytest/isolation.py`). A test that hangs or crashes is one error, and another child
//! goes on after it. A test that fails runs once more in a child of its own, after the
//! others, and that result counts. For example, a test that fails because another one changed
//! `os.environ` passes then.
//!
//! pytest imports all files of a session before the first test. So a run is a row of
//! sessions, the 32 nearest files first (`apart.rs`). If importing all test files takes more
//! than a quarter of a run's time, as SymPy's do (86 s), only the files that hold tests are
//! found, without an import; [`Collected::ids`] is empty then.
use super::Python;
use super::compile::compile_faults;
use super::consolidate::{SUITE_FILE, consolidate, strict};
use super::issue::issue_examples;
use super::stream::Told;
use super::trace::trace;
use crate::lang::{
    ChangedLines, Collected, Consolidated, IssueExamples, LangError, Language, Ran, Runner,
    RunnerLimits, SourceKind, TestRole, TestSource, end_of, private_dir, private_name,
    read_private,
};
use crate::record::{Coverage, Reached, TestOutcome, TestResult};
use crate::workspace::{CommandEnd, CommandOutput, Limits, Sandbox, WorkspaceError};
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

/// The package that is run, by file name.
const PACKAGE: [(&str, &str); 10] = [
    ("__init__.py", include_str!("egss_pytest/__init__.py")),
    ("child.py", include_str!("egss_pytest/child.py")),
    ("isolation.py", include_str!("egss_pytest/isolation.py")),
    ("limits.py", include_str!("egss_pytest/limits.py")),
    ("lines.py", include_str!("egss_pytest/lines.py")),
    ("main.py", include_str!("egss_pytest/main.py")),
    ("options.py", include_str!("egss_pytest/options.py")),
    ("reports.py", include_str!("egss_pytest/reports.py")),
    ("request.py", include_str!("egss_pytest/request.py")),
    ("stream.py", include_str!("egss_pytest/stream.py")),
];
/// Calls it. Neither its folder nor the directory under test can stand in for a module that
/// the other imports.
const CALL: &str = "import sys\nkept = [p for p in sys.path if p not in ('', '.')]\nsys.path[:] = [sys.argv[1]] + kept\nfrom egss_pytest.main import main\nsys.path[:] = kept\nmain(sys.argv[2:])\n";

/// The part of a run's time that may pass without a test file's import or a test: plugins
/// and conftest files are loaded in it.
const START_SHARE: u64 = 4;
/// The part of a run's time in which its tests are collected before it. SymPy's take 86 s.
const COLLECT_SHARE: u64 = 4;
/// The least of such a time, seconds: the interpreter, pytest and imports on a slow disk.
const START_S_MIN: u64 = 10;

/// pytest's exit status for a command line that it does not take.
const USAGE_ERROR: CommandEnd = CommandEnd::Exited(4);

/// Runs pytest with one interpreter.
#[derive(Clone)]
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
        let import = |module: &str| -> Result<CommandOutput, LangError> {
            let line = format!("import {module}");
            let argv = ["python3", "-B", "-c", &line];
            Ok(sandbox.run(scratch.path(), &argv, &limits.wall(60))?)
        };
        let imported = import("pytest")?;
        let is_there = imported.end == CommandEnd::Exited(0);
        // The repository of pytest, or of a package that it needs, installed in editable mode:
        // it is there only where a workspace is.
        if !is_there && !missing_module(&imported.text).is_some_and(|name| defines(files, name)) {
            return Err(LangError::NoPytest {
                python: sandbox.python().to_owned(),
            });
        }
        let has_coverage = import("coverage")?.end == CommandEnd::Exited(0);
        Ok(Self {
            sandbox,
            limits,
            has_coverage,
        })
    }

    /// One process of pytest; without the project's `addopts` where pytest does not take
    /// them even without those options that are dropped.
    pub(super) fn session(
        &self,
        dir: &Path,
        asked: &Asked<'_>,
        seconds: u64,
    ) -> Result<Session, LangError> {
        let until = Instant::now() + Duration::from_secs(seconds);
        let first = self.session_with(dir, asked, &[], seconds)?;
        let seconds = until.saturating_duration_since(Instant::now()).as_secs();
        if first.told.is_finished || first.output.end != USAGE_ERROR || seconds == 0 {
            return Ok(first);
        }
        let mut again = self.session_with(dir, asked, &["-o", "addopts="], seconds)?;
        if !again.told.is_finished && again.output.end == USAGE_ERROR {
            return Ok(first);
        }
        again.told.dropped = vec![format!("addopts ({})", end_of(&first.output))];
        Ok(again)
    }

    fn session_with(
        &self,
        dir: &Path,
        asked: &Asked<'_>,
        more: &[&str],
        seconds: u64,
    ) -> Result<Session, LangError> {
        let private = private_dir(dir)?;
        let place = |name: &str| private.path().join(name);
        let package = place("egss_pytest");
        std::fs::create_dir(&package).map_err(|e| LangError::io("make", &package, e))?;
        let files = PACKAGE
            .iter()
            .map(|(name, text)| (package.join(name), text.as_bytes()));
        let request = serde_json::to_vec(&Request {
            test_s_max: self.limits.test_s_max,
            start_s_max: self.start_s_max(),
            suite: SUITE_FILE,
            asked,
        });
        let request = request.expect("requests serialise to JSON");
        for (path, bytes) in files.chain([(place("request.json"), request.as_slice())]) {
            std::fs::write(&path, bytes).map_err(|e| LangError::io("write", &path, e))?;
        }
        let inside = private_name(private.path());
        let mut argv = vec!["python3", "-B", "-c", CALL, &inside];
        // Whatever the project asks for, a file that cannot be collected stops no other.
        argv.extend([
            "-q",
            "--color=no",
            "--rootdir=.",
            "--continue-on-collection-errors",
        ]);
        argv.extend(more);
        argv.extend(asked.more.iter().map(String::as_str));
        let ended = self.sandbox.run(dir, &argv, &self.limits.wall(seconds));
        let stream = read_private(&place("stream.jsonl"));
        let told = stream.map_or_else(Told::default, |bytes| Told::read(&bytes));
        let output = match ended {
            // The whole run's deadline came first: what had ended has ended.
            Err(WorkspaceError::DeadlinePassed) if !told.tests.is_empty() => CommandOutput {
                end: CommandEnd::TimedOut,
                text: String::new(),
                wall_ms: 1_000 * seconds,
                stopped: None,
            },
            ended => ended?,
        };
        let coverage = read_private(&place("coverage.json"));
        Ok(Session {
            output,
            coverage: coverage.and_then(|bytes| serde_json::from_slice(&bytes).ok()),
            told,
        })
    }

    /// Files that hold tests by the project's own configuration; nothing is imported but what
    /// steers pytest. `None`: that did not come to its end.
    fn files_collected(&self, dir: &Path) -> Result<Option<Told>, LangError> {
        let asked = Asked {
            collect_only: true,
            files_only: true,
            ..Asked::default()
        };
        let session = self.session(dir, &asked, self.collect_s_max())?;
        let told = session.told;
        Ok((told.is_finished && !told.files.is_empty()).then_some(told))
    }

    /// The time in which all tests are imported, or they are not before they run.
    fn collect_s_max(&self) -> u64 {
        (self.limits.run_s_max / COLLECT_SHARE).max(START_S_MIN)
    }

    fn start_s_max(&self) -> u64 {
        (self.limits.run_s_max / START_SHARE).max(START_S_MIN)
    }

    /// Collects by the project's own configuration. A file whose import ends or hangs the
    /// process is left out of the next attempt, and told as an error.
    fn collected(&self, dir: &Path) -> Result<(Told, CommandOutput), LangError> {
        let deadline = Instant::now() + Duration::from_secs(self.collect_s_max());
        let mut faults: Vec<TestOutcome> = Vec::new();
        loop {
            let ignored = faults.iter().map(|test| format!("--ignore={}", test.id));
            let asked = Asked {
                collect_only: true,
                more: ignored.collect(),
                ..Asked::default()
            };
            let seconds = deadline.saturating_duration_since(Instant::now()).as_secs();
            let session = self.session(dir, &asked, seconds.max(1))?;
            let Session {
                output, mut told, ..
            } = session;
            match (told.is_finished, &told.running) {
                (false, Some(running)) if output.end != CommandEnd::TimedOut => {
                    let fault = self.at_fault(running, &output);
                    if faults.iter().any(|known| known.id == fault.id) {
                        // Another file imports it: leaving it out does not help.
                        told.tests.extend(faults);
                        return Ok((told, output));
                    }
                    faults.push(fault);
                }
                _ => {
                    told.tests.extend(faults);
                    return Ok((told, output));
                }
            }
        }
    }
}

/// As pytest tells it: by its module, unless Python itself defines it.
fn foreign_exception(message: &str) -> Option<&str> {
    let first = message.lines().next()?;
    let path = first.split(':').next()?;
    let (module, name) = path.rsplit_once('.')?;
    let is_name =
        |text: &str| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_');
    let is_module = module.split('.').all(is_name);
    let is_type = is_name(name) && name.starts_with(char::is_uppercase);
    (is_module && is_type).then_some(name)
}

/// The request of one session: see `egss_pytest`.
#[derive(Default, Serialize)]
pub(super) struct Asked<'a> {
    pub collect_only: bool,
    /// Files and ids; `None`: the project's own choice.
    pub targets: Option<&'a [String]>,
    /// Ids that are not run again.
    pub done: Vec<String>,
    pub changed: Option<&'a ChangedLines>,
    /// With `collect_only`: files, of which none is imported.
    pub files_only: bool,
    /// Further arguments.
    #[serde(skip)]
    pub more: Vec<String>,
}

#[derive(Serialize)]
struct Request<'a> {
    test_s_max: u64,
    start_s_max: u64,
    suite: &'a str,
    #[serde(flatten)]
    asked: &'a Asked<'a>,
}

/// A session's end, and what it said until then.
pub(super) struct Session {
    pub output: CommandOutput,
    pub told: Told,
    coverage: Option<Coverage>,
}

impl Runner for PytestRunner<'_> {
    fn name(&self) -> &'static str {
        "pytest"
    }

    fn within(&self, run_s_max: u64) -> Box<dyn Runner + '_> {
        let mut runner = self.clone();
        runner.limits.run_s_max = run_s_max;
        Box::new(runner)
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

    fn collect(&self, dir: &Path, files: &[String]) -> Result<Collected, LangError> {
        let (told, output) = self.collected(dir)?;
        if output.end == CommandEnd::TimedOut
            && let Some(quick) = self.files_collected(dir)?
        {
            let with_tests = quick.files.iter().filter(|(_, is_doctest)| !is_doctest);
            let has_tests = with_tests.map(|(file, _)| file.as_str()).collect();
            let named = quick.files.iter().map(|(file, _)| file.as_str());
            let found = collected_in(dir, self.targets(files), named, &has_tests);
            return Ok(Collected {
                options_dropped: quick.dropped,
                ..found
            });
        }
        let ids = told.collected.unwrap_or_default();
        let by_name = self.targets(files);
        if !told.is_finished || (ids.is_empty() && told.tests.is_empty()) {
            let why = (!told.is_finished).then(|| {
                format!(
                    "the project's own configuration collects no tests (pytest {}); test files are found by their names",
                    end_of(&output)
                )
            });
            return Ok(Collected {
                options_dropped: told.dropped,
                fault: why,
                ..Collected::by_name(by_name)
            });
        }
        let has_tests: BTreeSet<&str> = ids
            .iter()
            .filter(|id| !told.doctests.contains(*id))
            .filter_map(|id| id.split("::").next())
            .collect();
        let faulty = told.tests.iter().map(|test| test.id.as_str());
        let named = ids.iter().map(String::as_str).chain(faulty);
        let found = collected_in(dir, by_name, named, &has_tests);
        Ok(Collected {
            options_dropped: told.dropped,
            ids,
            ..found
        })
    }

    fn packages(&self) -> Option<String> {
        let python = self.sandbox.python();
        // Installing a package changes the folder that it goes to.
        let library = python.parent()?.parent()?.join("lib");
        let mut text = python.display().to_string();
        for version in std::fs::read_dir(library).ok()?.flatten() {
            let packages = version.path().join("site-packages");
            if let Ok(meta) = packages.metadata() {
                let changed = meta.modified().ok()?;
                text += &format!("\n{} {changed:?}", packages.display());
            }
        }
        Some(text)
    }

    fn foreign_exception<'a>(&self, message: &'a str) -> Option<&'a str> {
        foreign_exception(message)
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
        let targets = [SUITE_FILE.to_owned()];
        let asked = Asked {
            collect_only: true,
            targets: Some(&targets),
            ..Asked::default()
        };
        let session = self.session(dir, &asked, self.limits.run_s_max)?;
        let mut errors = session.told.tests.into_iter();
        let error = errors.find(|test| test.result == TestResult::Error);
        Ok(match error {
            Some(error) => Some(error.message),
            None if session.told.is_finished => None,
            None => Some(format!("collecting it {}", end_of(&session.output))),
        })
    }

    fn request_for_tests(&self) -> &'static str {
        include_str!("augment.md")
    }

    fn compile_faults(&self, dir: &Path, files: &[String]) -> Result<Vec<String>, LangError> {
        let python = files.iter().filter(|path| Python.owns(path));
        compile_faults(self.sandbox, dir, &python.cloned().collect::<Vec<_>>())
    }

    fn run(&self, dir: &Path, targets: &[String]) -> Result<Ran, LangError> {
        self.run_all(dir, targets)
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
        let asked = Asked {
            targets: Some(targets),
            changed: Some(changed),
            ..Asked::default()
        };
        let session = self.session(dir, &asked, self.limits.run_s_max)?;
        // Where the run broke off, or a test wrote something else there, there
        // is no figure.
        Ok(session.coverage.filter(|_| session.told.is_finished))
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

/// The targets of the tests `named` (ids, or files), in their order, which is the project's.
/// `has_tests` are the files with more than examples of their documentation.
fn collected_in<'a>(
    dir: &Path,
    by_name: Vec<String>,
    named: impl Iterator<Item = &'a str>,
    has_tests: &BTreeSet<&str>,
) -> Collected {
    let mut files = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut targets = Vec::new();
    for id in named {
        let file = id.split("::").next().unwrap_or(id);
        // There are many tests to a file.
        if !files.insert(file) {
            continue;
        }
        let below: Vec<String> = match dir.join(file).is_file() {
            true => vec![file.to_owned()],
            false => {
                let below = |path: &&String| Path::new(path).starts_with(file);
                by_name.iter().filter(below).cloned().collect()
            }
        };
        for path in below.into_iter().filter(|path| path != SUITE_FILE) {
            if seen.insert(path.clone()) {
                targets.push(path);
            }
        }
    }
    let is_documented = |path: &&String| {
        !has_tests.contains(path.as_str())
            && files.contains(path.as_str())
            && Python.test_role(path) == TestRole::None
    };
    Collected {
        documented: targets.iter().filter(is_documented).cloned().collect(),
        targets,
        ..Collected::default()
    }
}

/// The module whose absence ended an import, as Python says it.
fn missing_module(output: &str) -> Option<&str> {
    let (_, rest) = output.rsplit_once("No module named '")?;
    rest.split(['\'', '.']).next()
}

/// True where one of a repository's files is that module, at its top or in `src` or the like.
fn defines(files: &[String], module: &str) -> bool {
    let places = [format!("{module}.py"), format!("{module}/__init__.py")];
    let is_place = |path: &str| {
        let depth_max = 1;
        places.iter().any(|place| {
            let folder = path.strip_suffix(place.as_str());
            folder.is_some_and(|folder| {
                (folder.is_empty() || folder.ends_with('/'))
                    && folder.matches('/').count() <= depth_max
            })
        })
    };
    files.iter().any(|path| is_place(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// pluggy and iniconfig, like pytest itself, are what pytest imports.
    #[test]
    fn a_module_that_pytest_lacks_may_be_the_repositorys_own() {
        let output = "Traceback (most recent call last):\n  File \"<string>\", line 1\nModuleNotFoundError: No module named 'pluggy.hooks'; 'pluggy' is not a package\n";
        assert_eq!(missing_module("SyntaxError: x"), None);
        let files = ["src/pluggy/__init__.py", "a/b/iniconfig.py", "tests/x.py"].map(str::to_owned);
        assert!(defines(&files, missing_module(output).unwrap()));
        assert!(!defines(&files, "iniconfig") && !defines(&files, "lug"));
        assert!(defines(&["pytest.py".to_owned()], "pytest"));
    }

    #[test]
    fn an_exception_of_a_library_is_told_from_pythons_own_and_from_assertions() {
        let of_library = "django.core.exceptions.ImproperlyConfigured: Requested setting";
        assert_eq!(foreign_exception(of_library), Some("ImproperlyConfigured"));
        let others = [
            "AttributeError: module 'a.b' has no attribute 'C'",
            "AssertionError: a.B: c",
            "assert total.x == Cart.Y: no",
            "took longer than 5 s",
            "",
        ];
        for message in others {
            assert_eq!(foreign_exception(message), None, "{message}");
        }
    }
}
