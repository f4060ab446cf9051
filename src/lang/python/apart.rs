//! Tests run apart, after a run as a whole hung or died: file by file, then
//! test by test, so that only the one at fault is an error.
use super::pytest::{PytestRunner, argv};
use crate::lang::LangError;
use crate::lang::runner::{at_fault, error_outcome};
use crate::record::TestOutcome;
use crate::workspace::{CommandOutput, Limits};
use std::path::Path;
use std::slice;
use std::time::Instant;

/// What a process may take beside its test, seconds: the interpreter, pytest
/// and imports on a slow disk.
const STARTUP_S: u64 = 10;
/// Tests' worth of time that one file gets before its tests are run apart.
const FILE_TESTS: u64 = 4;
/// Room for the list of a file's ids, bytes.
const LIST_BYTES_MAX: usize = 1 << 20;

impl PytestRunner<'_> {
    /// Runs each target in a process of its own until `deadline`. `whole` is
    /// how they ended together.
    pub(super) fn run_apart(
        &self,
        dir: &Path,
        targets: &[String],
        whole: &CommandOutput,
        deadline: Instant,
    ) -> Result<Vec<TestOutcome>, LangError> {
        if let [target] = targets {
            // It just ran alone.
            return match target.contains("::") {
                true => Ok(vec![at_fault(target, whole)]),
                false => self.test_by_test(dir, target, deadline),
            };
        }
        let file_s_max = self.limits.test_s_max * FILE_TESTS + STARTUP_S;
        let mut tests = Vec::new();
        for target in targets {
            let Some(seconds) = seconds_left(deadline) else {
                tests.push(self.not_run(target));
                continue;
            };
            let attempt = self.pytest(dir, slice::from_ref(target), seconds.min(file_s_max))?;
            match attempt.tests {
                Some(found) => tests.extend(found),
                None if target.contains("::") => tests.push(at_fault(target, &attempt.output)),
                None => tests.extend(self.test_by_test(dir, target, deadline)?),
            }
        }
        Ok(tests)
    }

    fn test_by_test(
        &self,
        dir: &Path,
        file: &str,
        deadline: Instant,
    ) -> Result<Vec<TestOutcome>, LangError> {
        let one_s_max = self.limits.test_s_max + STARTUP_S;
        let Some(seconds) = seconds_left(deadline) else {
            return Ok(vec![self.not_run(file)]);
        };
        let listed = self.list(dir, file, seconds.min(one_s_max))?;
        let ids: Vec<&str> = listed
            .text
            .lines()
            .filter(|line| line.starts_with(file) && line.contains("::"))
            .collect();
        if ids.is_empty() {
            return Ok(vec![at_fault(file, &listed)]);
        }
        let mut tests = Vec::new();
        for id in ids {
            let Some(seconds) = seconds_left(deadline) else {
                tests.push(self.not_run(id));
                continue;
            };
            let attempt = self.pytest(dir, &[id.to_owned()], seconds.min(one_s_max))?;
            match attempt.tests {
                Some(found) if !found.is_empty() => tests.extend(found),
                _ => tests.push(at_fault(id, &attempt.output)),
            }
        }
        Ok(tests)
    }

    /// The ids of a file's tests, a line each, without running them.
    pub(super) fn list(
        &self,
        dir: &Path,
        file: &str,
        seconds: u64,
    ) -> Result<CommandOutput, LangError> {
        let test_s_max = self.limits.test_s_max.to_string();
        let mut argv = argv(&test_s_max, "");
        argv.extend(["--collect-only", "-o", "addopts=", file]);
        let limits = Limits {
            output_bytes_max: LIST_BYTES_MAX,
            ..self.limits.wall(seconds)
        };
        Ok(self.sandbox.run(dir, &argv, &limits)?)
    }

    fn not_run(&self, id: &str) -> TestOutcome {
        let why = format!("not run: the run's {} s were spent", self.limits.run_s_max);
        error_outcome(id, why, 0)
    }
}

/// Whole seconds left; `None` at the end.
fn seconds_left(deadline: Instant) -> Option<u64> {
    match deadline.saturating_duration_since(Instant::now()).as_secs() {
        0 => None,
        seconds => Some(seconds),
    }
}
