//! The check after an edit: the repository's tests and the issue's own examples.
//!
//! If an example of the issue fails on the base, the check decides: a branch that passes it is
//! done. It does not where the edit names a string that only the example has (`fitted.rs`). Where a
//! test fails after an edit and the base's run did not come to it, it is run on the base first.
use super::fitted::example_literal;
use super::views::Views;
use crate::agent::{AfterEdit, AgentError, CheckReport};
use crate::base::BranchId;
use crate::record::{SuiteBuilt, SuiteRun, TestOutcome, TestResult};
use crate::verify::{Bench, NotRun, VerifyError, must_pass};
use crate::workspace::TreeId;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Runs the suite that was built before the search on a branch's workspace: the examples,
/// and of the repository's tests those nearest to the change, as far as time goes.
pub struct SuiteCheck<'a> {
    pub bench: Bench<'a>,
    pub suite: &'a SuiteBuilt,
    /// As far as it came before the search.
    pub base: &'a SuiteRun,
    pub views: &'a Views<'a>,
    /// Results on the base of tests that the run before the search did not come to, by their ids;
    /// looked for where a patch fails them.
    confirmed: Mutex<HashMap<String, TestResult>>,
}

/// Failing tests that an observation tells of.
const FAILURES_SHOWN: usize = 3;

/// Tests that fail on a patch and that the base is asked about.
const CONFIRMED_MAX: usize = 50;

fn told(error: VerifyError) -> AgentError {
    match error {
        VerifyError::Workspace(error) => AgentError::Workspace(error),
        other => AgentError::Check(other.to_string()),
    }
}

impl AfterEdit for SuiteCheck<'_> {
    fn check(&self, dir: &Path) -> Result<Option<CheckReport>, AgentError> {
        let unknown = NotRun::of(self.base);
        let has_wanted = self
            .base
            .tests
            .iter()
            .any(|test| must_pass(self.suite, test));
        if !has_wanted && self.base.not_run.is_empty() {
            return Ok(None);
        }
        let tree = self.bench.shadow.snapshot(dir)?;
        let (_, run) = self.ran(&tree).map_err(told)?;
        // Of a test that the run did not come to nothing is known.
        let not_run = NotRun::of(&run);
        let wanted = self.base.tests.iter();
        let wanted = wanted.filter(|test| must_pass(self.suite, test) && !not_run.has(&test.id));
        let known: HashSet<&str> = self
            .base
            .tests
            .iter()
            .map(|test| test.id.as_str())
            .collect();
        let confirmed = self.confirmed();
        // Those that the base's run did not come to: what passes, and what passed there.
        let others = run.tests.iter().filter(|test| {
            let passed_before = confirmed.get(&test.id) == Some(&TestResult::Passed);
            !known.contains(test.id.as_str())
                && unknown.has(&test.id)
                && (test.result == TestResult::Passed || passed_before)
        });
        let reached: Vec<&TestOutcome> = wanted.chain(others).collect();
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
        Ok(Some(CheckReport { passed, text }))
    }
}

impl<'a> SuiteCheck<'a> {
    pub fn new(
        bench: Bench<'a>,
        suite: &'a SuiteBuilt,
        base: &'a SuiteRun,
        views: &'a Views<'a>,
    ) -> Self {
        Self {
            bench,
            suite,
            base,
            views,
            confirmed: Mutex::default(),
        }
    }

    /// The suite in the order of its nearness to what a tree changes, and its run on the tree;
    /// what fails there and did not come to run on the base has then run there, too.
    pub fn ran(&self, tree: &TreeId) -> Result<(SuiteBuilt, SuiteRun), VerifyError> {
        let changed = self.bench.changed_paths(tree)?;
        let suite = self.bench.nearest_first(self.suite, &changed);
        // The branch's number is of no use here.
        let (run, _) = self.bench.run_patch(BranchId(0), tree, &suite)?;
        self.confirm(&run)?;
        Ok((suite, run))
    }

    /// Tests that have to pass on a patch, pass on the base, and fail in `run`.
    pub fn regressions(&self, run: &SuiteRun) -> Vec<String> {
        let passes =
            |test: &&TestOutcome| test.result == TestResult::Passed && must_pass(self.suite, test);
        let before: HashSet<&str> = self
            .base
            .tests
            .iter()
            .filter(passes)
            .map(|test| test.id.as_str())
            .collect();
        let confirmed = self.confirmed();
        let has_failed = |test: &&TestOutcome| {
            let id = test.id.as_str();
            matches!(test.result, TestResult::Failed | TestResult::Error)
                && (before.contains(id) || confirmed.get(id) == Some(&TestResult::Passed))
        };
        let failed = run.tests.iter().filter(has_failed);
        failed.map(|test| test.id.clone()).collect()
    }

    fn confirmed(&self) -> MutexGuard<'_, HashMap<String, TestResult>> {
        self.confirmed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the tests that fail in `run`, and of which the base says nothing yet, on the base.
    fn confirm(&self, run: &SuiteRun) -> Result<(), VerifyError> {
        let unknown = NotRun::of(self.base);
        let fails = |test: &&TestOutcome| {
            matches!(test.result, TestResult::Failed | TestResult::Error)
                && unknown.has(&test.id)
                && !self.confirmed().contains_key(&test.id)
        };
        let ids = run.tests.iter().filter(fails).map(|test| test.id.clone());
        let ids: Vec<String> = ids.take(CONFIRMED_MAX).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let on_base = self.bench.run_ids_on_base(&ids)?;
        let results = on_base.tests.into_iter().map(|test| (test.id, test.result));
        self.confirmed().extend(results);
        Ok(())
    }
}

fn tell(failing: &[&TestOutcome], n_tests: usize, run: &SuiteRun) -> String {
    let not_run = match run.counts.not_run {
        0 => String::new(),
        n => format!(" {n} others, farther from the change, were not run."),
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
