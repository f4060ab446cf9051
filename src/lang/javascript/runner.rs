//! JavaScript's tests, by `node --test`, vitest or jest: no network, nothing installed.
//!
//! A file's tests share a process. `node --test` runs each file by itself, for its XML
//! does not say which file a test is in. vitest and jest run all in one go; where that
//! leaves no report (a test that never gives way stops it for good), file by file. Each
//! test has its limit by the runner's own means where it has them; a file has the time
//! of [`FILE_TESTS`] tests, and one that does not end is an error as a whole.
use super::kind::{Kind, is_nodes_test};
use super::reports::{read_jest, read_node, read_vitest};
use crate::lang::bundle::{Part, Placed, bundle, parts};
use crate::lang::runner::{at_fault, error_outcome, mark_slow, slow};
use crate::lang::{
    Consolidated, LangError, Ran, Runner, RunnerLimits, SourceKind, TestSource, end_of, is_skipped,
    of_path, private_dir, read_private,
};
use crate::record::{TestOutcome, TestResult};
use crate::workspace::{CommandEnd, CommandOutput, Limits, Sandbox, Toolchain};
use std::path::Path;
use std::slice;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The consolidated suite's file. No runner takes it for a test.
pub const JAVASCRIPT_SUITE_FILE: &str = "current_issue_tests.js.txt";
/// The outcome of a package whose runner is missing.
const BUILD_ID: &str = "package.json";
/// What the tests of a script that uses no test library come to.
const EXIT_STATUS: &str = "exit status";

/// A file has the time of this many tests.
const FILE_TESTS: u64 = 4;
/// What a runner may take to start, and to compile TypeScript, seconds.
const START_S_MAX: u64 = 20;
/// Files that `node --test` runs at a time, at most.
const LANES_MAX: usize = 4;
/// Node's needs, which are above those of most tests: it reserves much, and its threads
/// count as processes.
const MEMORY_BYTES_MAX: u64 = 4 << 30;
const PROCESSES_MAX: u64 = 512;
/// Caches that vitest leaves.
const CACHES: [&str; 3] = [".vite", ".vite-temp", ".vitest"];

/// Runs one kind of tests with the Node of whoever started the program.
pub(super) struct NodeRunner {
    sandbox: Sandbox,
    limits: RunnerLimits,
    kind: Kind,
}

/// One run of the runner: a tree, a private folder, and an end.
struct Session<'a> {
    runner: &'a NodeRunner,
    dir: &'a Path,
    private: &'a Path,
    deadline: Instant,
}

impl NodeRunner {
    /// Errors: `NoRunner`.
    pub fn new(sandbox: &Sandbox, limits: RunnerLimits, kind: Kind) -> Result<Self, LangError> {
        let toolchain = Toolchain::node().map_err(LangError::NoRunner)?;
        let command = Limits {
            memory_bytes_max: limits.command.memory_bytes_max.max(MEMORY_BYTES_MAX),
            processes_max: limits.command.processes_max.max(PROCESSES_MAX),
            ..limits.command
        };
        Ok(Self {
            sandbox: sandbox.clone().with_toolchain(toolchain),
            limits: RunnerLimits { command, ..limits },
            kind,
        })
    }

    fn with_session<T>(
        &self,
        dir: &Path,
        act: impl FnOnce(&Session<'_>) -> Result<T, LangError>,
    ) -> Result<T, LangError> {
        let dir = dir
            .canonicalize()
            .map_err(|source| LangError::io("find", dir, source))?;
        let private = private_dir(&dir)?;
        let packages = dir.join("node_modules");
        let new = CACHES.map(|name| packages.join(name)).into_iter();
        let new: Vec<_> = new.filter(|cache| !cache.exists()).collect();
        let done = act(&Session {
            runner: self,
            dir: &dir,
            private: private.path(),
            deadline: Instant::now() + Duration::from_secs(self.limits.run_s_max),
        });
        for cache in new {
            std::fs::remove_dir_all(cache).ok();
        }
        done
    }

    fn fault_of(source: &TestSource) -> Option<String> {
        let marks = ["test(", "it(", "test.", "it.", "describe("];
        if !marks.iter().any(|mark| source.text.contains(mark)) {
            return Some("holds no test".to_owned());
        }
        let as_file = |path: &str| of_path(path).syntax()?.fault(&source.text);
        let fault = match &source.path {
            Some(path) => as_file(path),
            None => as_file("new.ts").and(as_file("new.js")),
        };
        fault.map(|fault| format!("does not parse: {fault}"))
    }
}

impl Session<'_> {
    fn command(&self, argv: &[&str], seconds: u64) -> Result<CommandOutput, LangError> {
        let left = self
            .deadline
            .saturating_duration_since(Instant::now())
            .as_secs();
        // Snapshots are compared and not written, and nothing waits for a key.
        let argv = [&["env", "CI=1"], argv].concat();
        let limits = self.runner.limits.wall(seconds.min(left));
        Ok(self.runner.sandbox.run(self.dir, &argv, &limits)?)
    }

    /// The outcomes of test files, and a sentence where the run as a whole went wrong.
    fn run_files(&self, files: &[String]) -> Result<Ran, LangError> {
        let mut ran = match self.runner.kind {
            Kind::Node => Ran {
                tests: self.each_by_node(files)?,
                fault: None,
            },
            Kind::Vitest | Kind::Jest => self.together(files)?,
        };
        mark_slow(&mut ran.tests, self.runner.limits.test_s_max);
        Ok(ran)
    }

    /// Each file by a process of its own, several at a time.
    fn each_by_node(&self, files: &[String]) -> Result<Vec<TestOutcome>, LangError> {
        let next = AtomicUsize::new(0);
        let lane = || {
            let mut done = Vec::new();
            loop {
                let nth = next.fetch_add(1, Ordering::Relaxed);
                let Some(file) = files.get(nth) else {
                    return done;
                };
                done.push((nth, self.by_node(file, nth)));
            }
        };
        let n_lanes = thread::available_parallelism()
            .map_or(1, usize::from)
            .min(LANES_MAX);
        let mut done = thread::scope(|scope| {
            let lanes: Vec<_> = (0..n_lanes).map(|_| scope.spawn(lane)).collect();
            let lanes = lanes
                .into_iter()
                .map(|lane| lane.join().expect("a lane does not panic"));
            lanes.flatten().collect::<Vec<_>>()
        });
        done.sort_by_key(|(nth, _)| *nth);
        let tests: Result<Vec<_>, _> = done.into_iter().map(|(_, tests)| tests).collect();
        Ok(tests?.concat())
    }

    fn by_node(&self, file: &str, nth: usize) -> Result<Vec<TestOutcome>, LangError> {
        if Instant::now() >= self.deadline {
            let why = "was not run: the time for all tests was up";
            return Ok(vec![error_outcome(file, why.to_owned(), 0)]);
        }
        let seconds = FILE_TESTS * self.runner.limits.test_s_max;
        let place = self.private.join(format!("{nth}.xml"));
        let timeout = format!("--test-timeout={}", 1_000 * seconds);
        let xml = format!("--test-reporter-destination={}", place.display());
        let mut argv = vec!["node", "--test", &timeout, "--test-reporter=junit", &xml];
        // What a file says that fails as a whole.
        argv.extend([
            "--test-reporter=spec",
            "--test-reporter-destination=stdout",
            file,
        ]);
        let output = self.command(&argv, seconds + START_S_MAX)?;
        let xml = read_private(&place);
        let tests = xml.and_then(|xml| read_node(&String::from_utf8_lossy(&xml), file));
        let Some(mut tests) = tests else {
            return Ok(vec![at_fault(file, &output)]);
        };
        let text = std::fs::read_to_string(self.dir.join(file)).unwrap_or_default();
        let uses_tests = text.contains("node:test");
        for test in tests.iter_mut().filter(|test| test.id == file) {
            let is_late = test.message.contains("timed out");
            match test.result {
                TestResult::Error if is_late => test.message = slow(seconds),
                // What asserts without a test library passes by its exit status.
                _ if !uses_tests => {
                    test.id = format!("{file}::{EXIT_STATUS}");
                    if test.result == TestResult::Error {
                        test.result = TestResult::Failed;
                        test.message = said_of(&output).unwrap_or_else(|| end_of(&output));
                    }
                }
                TestResult::Error => {
                    test.message = said_of(&output).unwrap_or_else(|| test.message.clone());
                }
                _ => {
                    test.result = TestResult::Error;
                    test.message = "ended before it reported a test".to_owned();
                }
            }
        }
        let fails =
            |test: &TestOutcome| matches!(test.result, TestResult::Failed | TestResult::Error);
        if output.end != CommandEnd::Exited(0) && !tests.iter().any(fails) {
            // The XML has no place for it.
            let why = "a test with subtests fails, and none of its subtests does";
            tests.push(error_outcome(file, why.to_owned(), output.wall_ms));
        }
        Ok(tests)
    }

    /// All files in one go, else file by file.
    fn together(&self, files: &[String]) -> Result<Ran, LangError> {
        let limits = &self.runner.limits;
        // What hangs in half of the time is run apart in the rest.
        let (output, tests) = self.at_once(files, limits.run_s_max.div_ceil(2))?;
        if let Some(tests) = tests {
            return Ok(Ran { tests, fault: None });
        }
        let mut tests = Vec::new();
        for file in files {
            let file = slice::from_ref(file);
            let seconds = FILE_TESTS * limits.test_s_max + START_S_MAX;
            let (output, found) = self.at_once(file, seconds)?;
            match found {
                Some(found) => tests.extend(found),
                None => tests.push(at_fault(&file[0], &output)),
            }
        }
        let end = end_of(&output);
        Ok(Ran {
            tests,
            fault: Some(format!(
                "the run as a whole {end}; its files were run apart"
            )),
        })
    }

    /// One process of vitest or jest; no outcomes if it left no whole report.
    fn at_once(
        &self,
        files: &[String],
        seconds: u64,
    ) -> Result<(CommandOutput, Option<Vec<TestOutcome>>), LangError> {
        let place = self.private.join("report");
        std::fs::remove_file(&place).ok();
        let report = format!("--outputFile={}", place.display());
        let ms = 1_000 * self.runner.limits.test_s_max;
        let (of_test, of_hook) = (format!("--testTimeout={ms}"), format!("--hookTimeout={ms}"));
        let mut argv = Vec::new();
        if self.runner.kind == Kind::Vitest {
            argv.extend([
                "node_modules/.bin/vitest",
                "run",
                "--reporter=junit",
                &report,
            ]);
            argv.extend([&of_test, &of_hook, "--bail=0", "--coverage.enabled=false"]);
            argv.push("--passWithNoTests");
        } else {
            argv.extend([
                "node_modules/.bin/jest",
                "--json",
                &report,
                &of_test,
                "--ci",
            ]);
            argv.extend([
                "--forceExit",
                "--bail=0",
                "--coverage=false",
                "--watchman=false",
            ]);
            argv.extend(["--passWithNoTests", "--runTestsByPath"]);
        }
        argv.extend(files.iter().map(String::as_str));
        let output = self.command(&argv, seconds)?;
        let text = read_private(&place).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let tests = match self.runner.kind {
            Kind::Vitest => read_vitest(&text),
            _ => read_jest(&text, files),
        };
        // vitest takes a path for a part of one.
        let is_asked = |test: &TestOutcome| {
            let file = test.id.split("::").next().unwrap_or_default();
            files.iter().any(|asked| asked == file)
        };
        let tests = tests.map(|mut tests| {
            tests.retain(is_asked);
            tests
        });
        Ok((output, tests))
    }

    /// Runs the suite's sources, each at its path; those of one path one after another.
    fn run_parts(&self, suite: &str) -> Result<Vec<TestOutcome>, LangError> {
        let mut outcomes = Vec::new();
        let mut left: Vec<(String, Part<'_>)> = Vec::new();
        for part in parts(suite) {
            let new = self.runner.kind.new_file(self.dir);
            left.push((part.path.unwrap_or(new).to_owned(), part));
        }
        while !left.is_empty() {
            let mut round: Vec<(String, Part<'_>)> = Vec::new();
            let mut later = Vec::new();
            for (path, part) in left {
                let is_taken = round.iter().any(|(other, _)| *other == path);
                if is_taken {
                    later.push((path, part))
                } else {
                    round.push((path, part))
                }
            }
            left = later;
            outcomes.extend(self.run_round(&round)?);
        }
        Ok(outcomes)
    }

    fn run_round(&self, round: &[(String, Part<'_>)]) -> Result<Vec<TestOutcome>, LangError> {
        let (mut placed, mut files) = (Vec::new(), Vec::new());
        for (path, part) in round {
            if let Some(place) = Placed::put(self.dir, path, part.text)? {
                placed.push(place);
                files.push(path.clone());
            }
        }
        let ran = self.run_files(&files)?;
        drop(placed);
        let mut outcomes = Vec::new();
        for (path, part) in round {
            let whole = format!("{JAVASCRIPT_SUITE_FILE}::{}", part.name);
            let rest_of = |test: &TestOutcome| {
                let rest = test.id.strip_prefix(path.as_str())?;
                if rest.is_empty() {
                    Some("::*".to_owned())
                } else {
                    rest.strip_prefix("::").map(|r| format!("::{r}"))
                }
            };
            let n_before = outcomes.len();
            outcomes.extend(ran.tests.iter().filter_map(|test| {
                let id = format!("{whole}{}", rest_of(test)?);
                Some(TestOutcome { id, ..test.clone() })
            }));
            if outcomes.len() == n_before {
                let why = match files.contains(path) {
                    true => format!("{} found no test in it", self.runner.kind.name()),
                    false => format!("something stands in the way at {path}"),
                };
                outcomes.push(error_outcome(&format!("{whole}::*"), why, 0));
            }
        }
        Ok(outcomes)
    }
}

/// True for a file that vitest and jest run unless they are set up otherwise.
fn is_others_test(path: &str) -> bool {
    let mut parts = path.rsplit('/');
    let name = parts.next().unwrap_or(path);
    name.contains(".test.") || name.contains(".spec.") || parts.any(|part| part == "__tests__")
}

/// The error that ended a process of Node's, and its place.
fn said_of(output: &CommandOutput) -> Option<String> {
    let lines: Vec<&str> = output.text.lines().map(str::trim_end).collect();
    let is_error = |line: &&str| {
        let name = line.split([':', ' ']).next().unwrap_or_default();
        name.ends_with("Error") && name.chars().all(char::is_alphanumeric)
    };
    let at = lines.iter().position(|line| is_error(&line))?;
    let is_place = |line: &&&str| line.starts_with("file://") || line.starts_with('/');
    let place = lines[..at].iter().rev().find(is_place);
    let place = place.map_or(String::new(), |place| {
        format!("\n{}", place.trim_start_matches("file://"))
    });
    Some(format!("{}{place}", lines[at]))
}

impl Runner for NodeRunner {
    fn name(&self) -> &'static str {
        self.kind.name()
    }

    fn suite_file(&self) -> &'static str {
        JAVASCRIPT_SUITE_FILE
    }

    fn test_command(&self) -> &'static str {
        self.kind.command()
    }

    fn is_test_file(&self, path: &str) -> bool {
        match self.kind {
            Kind::Node => is_nodes_test(path),
            Kind::Vitest | Kind::Jest => super::owns_some(path) && is_others_test(path),
        }
    }

    fn is_source(&self, path: &str) -> bool {
        self.is_test_file(path)
    }

    fn build_id(&self) -> Option<&'static str> {
        Some(BUILD_ID)
    }

    fn targets(&self, files: &[String]) -> Vec<String> {
        let is_foreign = |path: &str| {
            path.split('/')
                .any(|part| part.starts_with('.') || is_skipped(part))
        };
        let is_own = |path: &&String| self.is_test_file(path) && !is_foreign(path);
        files.iter().filter(is_own).cloned().collect()
    }

    fn consolidate(&self, sources: &[TestSource]) -> Result<Consolidated, LangError> {
        Ok(bundle(sources, &Self::fault_of))
    }

    fn source_fault(&self, dir: &Path, text: &str) -> Result<Option<String>, LangError> {
        let source = TestSource {
            origin: "new".to_owned(),
            kind: SourceKind::Written,
            path: None,
            text: text.to_owned(),
        };
        let suite = bundle(slice::from_ref(&source), &Self::fault_of);
        if let Some(dropped) = suite.dropped.into_iter().next() {
            return Ok(Some(dropped.why));
        }
        let tests = self.with_session(dir, |session| session.run_parts(&suite.text))?;
        let bad = tests.into_iter().find(|test| test.id.ends_with("::*"));
        Ok(bad.map(|test| test.message))
    }

    fn request_for_tests(&self) -> &'static str {
        self.kind.request_for_tests()
    }

    /// By `node --check`, where no other program compiles the code.
    fn compile_faults(&self, dir: &Path, files: &[String]) -> Result<Vec<String>, LangError> {
        let is_code = |path: &&String| {
            let endings = [".js", ".mjs", ".cjs"];
            endings.iter().any(|ending| path.ends_with(ending)) && !self.is_test_file(path)
        };
        if self.kind != Kind::Node {
            return Ok(Vec::new());
        }
        self.with_session(dir, |session| {
            let mut faults = Vec::new();
            for path in files.iter().filter(is_code) {
                let output = session.command(&["node", "--check", path], START_S_MAX)?;
                if output.end != CommandEnd::Exited(0) {
                    let said = said_of(&output).unwrap_or_else(|| end_of(&output));
                    let said = said.lines().next().unwrap_or_default();
                    faults.push(format!("{path} does not compile: {said}"));
                }
            }
            Ok(faults)
        })
    }

    fn run(&self, dir: &Path, targets: &[String]) -> Result<Ran, LangError> {
        if let Some(why) = self.kind.fault(dir) {
            return Ok(Ran {
                tests: vec![error_outcome(BUILD_ID, why.clone(), 0)],
                fault: Some(why),
            });
        }
        self.with_session(dir, |session| {
            let own: Vec<String> = targets
                .iter()
                .filter(|path| *path != JAVASCRIPT_SUITE_FILE)
                .cloned()
                .collect();
            let mut ran = match own.is_empty() {
                true => Ran::default(),
                false => session.run_files(&own)?,
            };
            if own.len() < targets.len() {
                let suite = std::fs::read_to_string(session.dir.join(JAVASCRIPT_SUITE_FILE));
                ran.tests
                    .extend(session.run_parts(&suite.unwrap_or_default())?);
            }
            Ok(ran)
        })
    }

    fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    fn command_limits(&self) -> Limits {
        self.limits.wall(self.limits.run_s_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ended_a_process_is_told_with_its_place() {
        let output = |text: &str| CommandOutput {
            end: CommandEnd::Exited(1),
            text: text.to_owned(),
            wall_ms: 1,
        };
        let text = "file:///workspace/test/a.test.js:2\ntest(\"never\n     ^^^\n\nSyntaxError: Invalid or unexpected token\n    at x\n✖ /workspace/test/a.test.js (5ms)\n";
        let said = said_of(&output(text)).unwrap();
        assert_eq!(
            said,
            "SyntaxError: Invalid or unexpected token\n/workspace/test/a.test.js:2"
        );
        assert_eq!(
            said_of(&output("✖ failing tests:\n  'test failed'\n")),
            None
        );
    }
}
