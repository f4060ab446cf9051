//! The check after an edit: the repository's tests and the issue's own examples.
use super::fitted::example_literal;
use super::views::Views;
use crate::agent::{AfterEdit, AgentError, CheckReport};
use crate::base::BranchId;
use crate::record::{SuiteBuilt, SuiteRun, TestOutcome, TestResult};
use crate::verify::{Bench, NotRun, VerifyError, is_stated, must_pass};
use std::path::Path;

/// Runs the suite that was built before the search on a branch's workspace.
pub struct SuiteCheck<'a> {
    pub bench: &'a Bench<'a>,
    pub suite: &'a SuiteBuilt,
    pub base: &'a SuiteRun,
    pub views: &'a Views<'a>,
}

/// Failing tests that an observation tells of.
const FAILURES_SHOWN: usize = 3;

impl AfterEdit for SuiteCheck<'_> {
    fn check(&self, dir: &Path) -> Result<Option<CheckReport>, AgentError> {
        let must_pass: Vec<&TestOutcome> = self
            .base
            .tests
            .iter()
            .filter(|test| must_pass(self.suite, test))
            .collect();
        if must_pass.is_empty() {
            return Ok(None);
        }
        let tree = self.bench.shadow.snapshot(dir)?;
        // The branch's number is of no use here.
        let run = self.bench.run_patch(BranchId(0), &tree, self.suite);
        let (run, _) = run.map_err(|error| match error {
            VerifyError::Workspace(error) => AgentError::Workspace(error),
            other => AgentError::Check(other.to_string()),
        })?;
        // Of a test that the run did not come to nothing is known.
        let not_run = NotRun::of(&run);
        let reached: Vec<&TestOutcome> = must_pass
            .into_iter()
            .filter(|test| !not_run.has(&test.id))
            .collect();
        if reached.is_empty() {
            return Ok(None);
        }
        let failing: Vec<&TestOutcome> = reached
            .iter()
            .filter_map(
                |wanted| match run.tests.iter().find(|test| test.id == wanted.id) {
                    Some(now) if now.result == TestResult::Passed => None,
                    now => Some(now.unwrap_or(wanted)),
                },
            )
            .collect();
        let mut passed = failing.is_empty();
        let mut text = tell(&failing, reached.len(), &run);
        if passed {
            let (before, after) = (self.views.at(self.bench.base)?, self.views.at(&tree)?);
            if let Some(literal) = example_literal(&self.suite.text, &before, &after) {
                passed = false;
                text += &format!(
                    "\nBut the edit names \"{literal}\", which only the issue's example has: \
                     it must hold for every value."
                );
            }
        }
        Ok(Some(CheckReport {
            passed,
            text,
            new_failure: self.new_failure(&run).filter(|_| !passed),
        }))
    }
}

impl SuiteCheck<'_> {
    /// What the tests that fail on the base and must not say in `run`; `None` where
    /// each says what it said there.
    fn new_failure(&self, run: &SuiteRun) -> Option<String> {
        let not_run = NotRun::of(run);
        let mut is_new = false;
        let mut text = String::new();
        let tests = self.base.tests.iter();
        for before in tests.filter(|test| is_stated(self.suite, test)) {
            let now = run.tests.iter().find(|test| test.id == before.id);
            if now.is_none() && not_run.has(&before.id) {
                continue;
            }
            let says = match now {
                Some(now) if now.result == TestResult::Passed => "passes",
                now => now.unwrap_or(before).message.trim(),
            };
            is_new |= says != before.message.trim();
            text += &format!("{}: {says}\n", before.id);
        }
        is_new.then_some(text)
    }
}

fn tell(failing: &[&TestOutcome], n_tests: usize, run: &SuiteRun) -> String {
    let not_run = match run.counts.not_run {
        0 => String::new(),
        n => format!(" {n} were not run."),
    };
    let mut text = format!(
        "{} of {n_tests} tests pass.{not_run}",
        n_tests - failing.len()
    );
    for test in failing.iter().take(FAILURES_SHOWN) {
        let name = test.id.rsplit("::").next().unwrap_or(&test.id);
        text += &format!("\n{name}: {}", test.message.trim());
    }
    if failing.len() > FAILURES_SHOWN {
        text += &format!("\n... and {} more", failing.len() - FAILURES_SHOWN);
    }
    if let Some(fault) = &run.fault {
        text += &format!("\n{fault}");
    }
    text
}
