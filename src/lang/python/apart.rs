//! A run of pytest to its end: what hangs or dies is left out of the next session, so that
//! only the one at fault is an error, and what had ended is not run again.
//!
//! Results come as a stream, a line for each event. A session that dies goes on without the
//! test at fault, and a run that is cut keeps the results that it had.
use super::pytest::{Asked, PytestRunner};
use super::stream::{Running, Told};
use crate::lang::runner::{at_fault, error_outcome, slow};
use crate::lang::{LangError, Ran, end_of};
use crate::record::TestOutcome;
use crate::workspace::{CommandEnd, CommandOutput};
use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

/// Files of tests that the first session of a run takes; each after it takes twice as many as the
/// one before.
const FIRST_FILES: usize = 32;

/// The watch over imports prints it when it ends a process.
const WATCH_MARK: &str = "Timeout (";

/// A run so far.
struct Run<'a> {
    runner: &'a PytestRunner<'a>,
    dir: &'a Path,
    deadline: Instant,
    tests: Vec<TestOutcome>,
    /// Tests that are to run, as far as they are known.
    expected: Vec<String>,
    /// Files and tests that the time did not suffice for.
    not_run: Vec<String>,
    faults: Vec<String>,
    /// The time was over before the tests were.
    is_cut: bool,
}

impl PytestRunner<'_> {
    /// Runs all tests of `targets` in the time for one run.
    pub(super) fn run_all(&self, dir: &Path, targets: &[String]) -> Result<Ran, LangError> {
        let mut run = Run {
            runner: self,
            dir,
            deadline: Instant::now() + Duration::from_secs(self.limits.run_s_max),
            tests: Vec::new(),
            expected: Vec::new(),
            not_run: Vec::new(),
            faults: Vec::new(),
            is_cut: false,
        };
        // A session imports all that it is to run before it runs anything: what comes first
        // must not wait for what there is no time for.
        let (mut rest, mut n) = (targets, FIRST_FILES);
        while !rest.is_empty() {
            let (now, later) = rest.split_at(n_targets(rest, n));
            run.through(now)?;
            (rest, n) = (later, 2 * n);
        }
        Ok(run.ran())
    }

    /// The outcome of what ended or held up its process.
    pub(super) fn at_fault(&self, running: &Running, output: &CommandOutput) -> TestOutcome {
        match running {
            Running::Import(file) if output.text.contains(WATCH_MARK) => {
                error_outcome(file, slow(self.limits.test_s_max), output.wall_ms)
            }
            Running::Import(id) | Running::Test(id) => at_fault(id, output),
        }
    }
}

impl Run<'_> {
    fn through(&mut self, targets: &[String]) -> Result<(), LangError> {
        let mut targets = targets.to_vec();
        while !targets.is_empty() {
            let Some(seconds) = self.seconds_left() else {
                self.is_cut = true;
                self.not_run.extend(targets);
                return Ok(());
            };
            let asked = Asked {
                targets: Some(&targets),
                done: self.tests.iter().map(|test| test.id.clone()).collect(),
                ..Asked::default()
            };
            let session = self.runner.session(self.dir, &asked, seconds)?;
            let is_cut = session.output.end == CommandEnd::TimedOut;
            self.is_cut |= is_cut;
            let (is_finished, running) = self.take(session.told);
            match running {
                _ if is_finished => return Ok(()),
                _ if is_cut => {
                    // Each test and each import has its own limit: the time was over.
                    self.not_run.extend(targets);
                    return Ok(());
                }
                Some(running) => {
                    let test = self.runner.at_fault(&running, &session.output);
                    let end = end_of(&session.output);
                    self.faults.push(format!(
                        "{} ended the process of all tests, which {end}; the rest was run without it",
                        test.id
                    ));
                    let n_before = targets.len();
                    if let Running::Import(file) = &running {
                        targets.retain(|target| file_of(target) != file);
                        if targets.len() == n_before {
                            // It is imported for another's sake.
                            return self.each(&targets, &session.output);
                        }
                    }
                    self.tests.push(test);
                }
                None => return self.each(&targets, &session.output),
            }
        }
        Ok(())
    }

    /// Each target in a session of its own, where none could begin with all of them:
    /// `whole` is how that ended.
    fn each(&mut self, targets: &[String], whole: &CommandOutput) -> Result<(), LangError> {
        if let [target] = targets {
            // It just ran alone.
            self.tests.push(at_fault(target, whole));
            return Ok(());
        }
        self.faults.push(format!(
            "the run as a whole {}; its files were run apart",
            end_of(whole)
        ));
        for target in targets {
            self.through(std::slice::from_ref(target))?;
        }
        Ok(())
    }

    /// Keeps what a session said; whether it finished, and what it was at when it ended.
    fn take(&mut self, told: Told) -> (bool, Option<Running>) {
        let known: HashSet<&str> = self.tests.iter().map(|test| test.id.as_str()).collect();
        let new = |test: &TestOutcome| !known.contains(test.id.as_str());
        let new: Vec<TestOutcome> = told.tests.into_iter().filter(new).collect();
        self.tests.extend(new);
        self.expected.extend(told.collected.unwrap_or_default());
        (told.is_finished, told.running)
    }

    fn ran(self) -> Ran {
        let ended: HashSet<&str> = self.tests.iter().map(|test| test.id.as_str()).collect();
        let mut seen = HashSet::new();
        let known: HashSet<&str> = self.expected.iter().map(|id| file_of(id)).collect();
        let rest = self.expected.iter().cloned();
        // A file is told where its tests are not known, which are told by their own names.
        let files = self
            .not_run
            .iter()
            .filter(|target| !known.contains(file_of(target)));
        let not_run: Vec<String> = rest
            .chain(files.cloned())
            .filter(|id| !ended.contains(id.as_str()) && seen.insert(id.clone()))
            .collect();
        let mut faults = self.faults;
        if !not_run.is_empty() {
            faults.push(match self.is_cut {
                true => format!(
                    "the {} s for one run of all tests did not suffice",
                    self.runner.limits.run_s_max
                ),
                false => "pytest ended before all tests had run".to_owned(),
            });
        }
        Ran {
            tests: self.tests,
            not_run,
            fault: (!faults.is_empty()).then(|| faults.join("; ")),
        }
    }

    /// Whole seconds left; `None` at the end.
    fn seconds_left(&self) -> Option<u64> {
        match self
            .deadline
            .saturating_duration_since(Instant::now())
            .as_secs()
        {
            0 => None,
            seconds => Some(seconds),
        }
    }
}

/// The number of targets before the one that is in yet another file than `n_files`.
fn n_targets(targets: &[String], n_files: usize) -> usize {
    let mut files = HashSet::new();
    let files = targets.iter().map(|target| {
        files.insert(file_of(target));
        files.len()
    });
    files.take_while(|n| *n <= n_files).count()
}

/// The file of an id, which may be a file's own.
fn file_of(id: &str) -> &str {
    id.split("::").next().unwrap_or(id)
}
