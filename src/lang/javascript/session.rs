//! One run of JavaScript's tests over a tree.
use super::kind::Kind;
use super::reports::{read_jest, read_node, read_vitest};
use crate::lang::runner::{at_fault, error_outcome, mark_slow, slow};
use crate::lang::{LangError, Ran, RunnerLimits, TextFile, end_of, read_private};
use crate::record::{TestOutcome, TestResult};
use crate::workspace::{CommandEnd, CommandOutput, Sandbox};
use std::path::Path;
use std::slice;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

/// A file has the time of this many tests.
const FILE_TESTS: u64 = 4;
/// Time of a runner to start, and to compile TypeScript, seconds.
pub(super) const START_S_MAX: u64 = 20;
/// Files that `node --test` runs at a time, at most.
const LANES_MAX: usize = 4;
/// The name of the one test of a script that uses no test library.
const EXIT_STATUS: &str = "exit status";

/// One run over a tree.
pub(super) struct Session<'a> {
    pub kind: Kind,
    pub sandbox: &'a Sandbox,
    pub limits: RunnerLimits,
    /// The tree, under its canonical path.
    pub dir: &'a Path,
    /// A private folder in the tree.
    pub private: &'a Path,
    pub deadline: Instant,
}

impl Session<'_> {
    /// One command in the tree, stopped after `seconds` or at the run's end.
    pub fn command(&self, argv: &[&str], seconds: u64) -> Result<CommandOutput, LangError> {
        let left = self
            .deadline
            .saturating_duration_since(Instant::now())
            .as_secs();
        // Snapshots are compared and not written, and nothing waits for a key.
        let argv = [&["env", "CI=1"], argv].concat();
        let limits = self.limits.wall(seconds.min(left));
        Ok(self.sandbox.run(self.dir, &argv, &limits)?)
    }

    /// The outcomes of test files, and a sentence where the run as a whole went wrong.
    pub fn run_files(&self, files: &[String]) -> Result<Ran, LangError> {
        let mut ran = match self.kind {
            Kind::Node => self.each_by_node(files)?,
            Kind::Vitest | Kind::Jest => self.together(files)?,
        };
        mark_slow(&mut ran.tests, self.limits.test_s_max);
        Ok(ran)
    }

    /// Runs each file by `node --test`, several at a time.
    fn each_by_node(&self, files: &[String]) -> Result<Ran, LangError> {
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
        let mut ran = Ran::default();
        for (nth, tests) in done {
            match tests? {
                Some(tests) => ran.tests.extend(tests),
                None => ran.not_run.push(files[nth].clone()),
            }
        }
        ran.fault = self.cut(&ran.not_run);
        Ok(ran)
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// Why there are files that were not run.
    fn cut(&self, not_run: &[String]) -> Option<String> {
        let seconds = self.limits.run_s_max;
        let why = format!("the {seconds} s for one run of all tests did not suffice");
        (!not_run.is_empty()).then_some(why)
    }

    /// The outcomes of the `nth` file; `None` where the time did not suffice for it.
    fn by_node(&self, file: &str, nth: usize) -> Result<Option<Vec<TestOutcome>>, LangError> {
        if self.is_over() {
            return Ok(None);
        }
        let seconds = FILE_TESTS * self.limits.test_s_max;
        let place = self.private.join(format!("{nth}.xml"));
        let timeout = format!("--test-timeout={}", 1_000 * seconds);
        let xml = format!("--test-reporter-destination={}", place.display());
        let mut argv = vec!["node", "--test", &timeout, "--test-reporter=junit", &xml];
        // The XML does not say why a file fails that cannot be loaded.
        argv.extend([
            "--test-reporter=spec",
            "--test-reporter-destination=stdout",
            file,
        ]);
        let output = self.command(&argv, seconds + START_S_MAX)?;
        let xml = read_private(&place);
        let tests = xml.and_then(|xml| read_node(&String::from_utf8_lossy(&xml), file));
        let Some(mut tests) = tests else {
            let is_cut = output.end == CommandEnd::TimedOut && self.is_over();
            return Ok((!is_cut).then(|| vec![at_fault(file, &output)]));
        };
        let text = TextFile::read(self.dir, file);
        let uses_tests = text.is_some_and(|text| text.text().contains("node:test"));
        for test in tests.iter_mut().filter(|test| test.id == file) {
            let is_late = test.message.contains("timed out");
            match test.result {
                TestResult::Error if is_late => test.message = slow(seconds),
                // A script that asserts without a test library.
                _ if !uses_tests => {
                    test.id = format!("{file}::{EXIT_STATUS}");
                    if test.result == TestResult::Error {
                        test.result = TestResult::Failed;
                        test.message = said_of(&output.text).unwrap_or_else(|| end_of(&output));
                    }
                }
                TestResult::Error => {
                    test.message = said_of(&output.text).unwrap_or_else(|| test.message.clone());
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
            // The XML has no place for a failure of the test around subtests.
            let why = "a test with subtests fails, and none of its subtests does";
            tests.push(error_outcome(file, why.to_owned(), output.wall_ms));
        }
        Ok(Some(tests))
    }

    /// All files in one go, else file by file.
    fn together(&self, files: &[String]) -> Result<Ran, LangError> {
        let limits = &self.limits;
        // The other half of the time is for one file at a time.
        let (output, tests) = self.at_once(files, limits.run_s_max.div_ceil(2))?;
        if let Some(tests) = tests {
            return Ok(Ran {
                tests,
                ..Ran::default()
            });
        }
        let (mut tests, mut not_run) = (Vec::new(), Vec::new());
        for file in files {
            if self.is_over() {
                not_run.push(file.clone());
                continue;
            }
            let file = slice::from_ref(file);
            let seconds = FILE_TESTS * limits.test_s_max + START_S_MAX;
            let (output, found) = self.at_once(file, seconds)?;
            match found {
                Some(found) => tests.extend(found),
                None if output.end == CommandEnd::TimedOut && self.is_over() => {
                    not_run.push(file[0].clone());
                }
                None => tests.push(at_fault(&file[0], &output)),
            }
        }
        let apart = format!(
            "the run as a whole {}; its files were run apart",
            end_of(&output)
        );
        let faults = [Some(apart), self.cut(&not_run)].into_iter().flatten();
        Ok(Ran {
            tests,
            fault: Some(faults.collect::<Vec<_>>().join("; ")),
            not_run,
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
        let ms = 1_000 * self.limits.test_s_max;
        let (of_test, of_hook) = (format!("--testTimeout={ms}"), format!("--hookTimeout={ms}"));
        let mut argv = Vec::new();
        if self.kind == Kind::Vitest {
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
        let tests = match self.kind {
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
}

/// The error that ended a process of Node, and its place.
pub(super) fn said_of(text: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let is_error = |line: &&str| {
        let name = line.split([':', ' ']).next().unwrap_or_default();
        name.ends_with("Error") && name.chars().all(char::is_alphanumeric)
    };
    let at = lines.iter().position(is_error)?;
    let is_place = |line: &&&str| line.starts_with("file://") || line.starts_with('/');
    let place = lines[..at].iter().rev().find(is_place);
    let place = place.map_or(String::new(), |place| {
        format!("\n{}", place.trim_start_matches("file://"))
    });
    Some(format!("{}{place}", lines[at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ended_a_process_is_told_with_its_place() {
        let text = "file:///workspace/test/a.test.js:2\ntest(\"never\n     ^^^\n\nSyntaxError: Invalid or unexpected token\n    at x\n✖ /workspace/test/a.test.js (5ms)\n";
        let said = said_of(text).unwrap();
        assert_eq!(
            said,
            "SyntaxError: Invalid or unexpected token\n/workspace/test/a.test.js:2"
        );
        assert_eq!(said_of("✖ failing tests:\n  'test failed'\n"), None);
    }
}
