//! The roles of the consolidated suite's tests for a patch.
use super::not_run::NotRun;
use crate::lang::{SourceKind, TEST_CMD_ID};
use crate::record::{SuiteBuilt, SuiteRun, TestOutcome, TestResult};
use std::collections::HashSet;

/// A test that a patch has to pass: one that passes on the base, or an example of the issue
/// that does not. An example that shows today's fault is none.
pub fn must_pass(suite: &SuiteBuilt, base: &TestOutcome) -> bool {
    match base.result {
        TestResult::Passed => !shows_today(suite, base),
        _ => is_stated(suite, base),
    }
}

/// An example of the issue that shows what happens today: it passes on the base, and the issue
/// does not assert it.
pub(super) fn shows_today(suite: &SuiteBuilt, base: &TestOutcome) -> bool {
    let is_asserted = |name: &str| name.starts_with(SourceKind::ISSUE_STATED_PREFIX);
    base.result == TestResult::Passed
        && is_of_issue(suite, &base.id)
        && !suite_function(suite, &base.id).is_some_and(is_asserted)
}

/// Examples of the issue that fail on the base and still do not pass in `run`: what
/// the issue asks for and a patch does not give. One that the run did not come to is
/// none of them.
pub fn unmet<'a>(suite: &SuiteBuilt, base: &'a SuiteRun, run: &SuiteRun) -> Vec<&'a str> {
    let not_run = NotRun::of(run);
    let passes = |id: &str| {
        let mut found = run.tests.iter().filter(|test| test.id == id);
        found.any(|test| test.result == TestResult::Passed)
    };
    let stated = base.tests.iter().filter(|test| is_stated(suite, test));
    stated
        .map(|test| test.id.as_str())
        .filter(|id| !passes(id) && !not_run.has(id))
        .collect()
}

/// An example of the issue, or another goal, that does not hold on the base.
pub fn is_stated(suite: &SuiteBuilt, base: &TestOutcome) -> bool {
    let is_goal = is_of_issue(suite, &base.id) || suite.goals.contains(&base.id);
    base.result != TestResult::Passed && is_goal && !suite.unclear.contains(&base.id)
}

/// Examples of the issue in `suite` that fail on the base by an exception of a library that the
/// issue does not name, each with the exception: they lack a set-up, such as a configuration.
pub(super) fn unclear<'a>(
    suite: &SuiteBuilt,
    base: &'a SuiteRun,
    issue: &str,
    exception: impl Fn(&'a str) -> Option<&'a str>,
) -> Vec<(&'a str, &'a str)> {
    let words = words(issue);
    let failing = base.tests.iter().filter(|test| {
        let fails = matches!(test.result, TestResult::Failed | TestResult::Error);
        fails && is_of_issue(suite, &test.id)
    });
    let raised = failing.filter_map(|test| Some((test.id.as_str(), exception(&test.message)?)));
    raised.filter(|(_, name)| !words.contains(name)).collect()
}

/// Tests that fail on the base and are goals beside the issue's examples: the user's command,
/// and tests of the repository whose names the issue holds.
pub(super) fn goals(base: &SuiteRun, issue: &str) -> Vec<String> {
    let words = words(issue);
    let is_goal = |test: &&TestOutcome| {
        let name = test.id.rsplit("::").next().unwrap_or(&test.id);
        let name = name.split('[').next().unwrap_or(name);
        let fails = matches!(test.result, TestResult::Failed | TestResult::Error);
        let is_named = is_telling(name) && words.contains(name);
        fails && (test.id == TEST_CMD_ID || is_named)
    };
    let found = base.tests.iter().filter(is_goal);
    found.map(|test| test.id.clone()).collect()
}

/// The words of an issue that could be names.
pub(super) fn words(issue: &str) -> HashSet<&str> {
    issue
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .collect()
}

/// False for a name such as `test` or `works`, which many a sentence has.
pub(super) fn is_telling(name: &str) -> bool {
    name.len() > 4 && name.contains('_')
}

/// An example of the issue, of whatever kind.
pub(super) fn is_of_issue(suite: &SuiteBuilt, id: &str) -> bool {
    suite_function(suite, id).is_some_and(|name| name.starts_with(SourceKind::ISSUE_PREFIX))
}

/// A test of the consolidated file, not of the repository.
pub fn is_of_suite(suite: &SuiteBuilt, id: &str) -> bool {
    let rest = id.strip_prefix(suite.file.as_str());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The name of a function at the top of the suite: a class's method may be
/// called what it likes.
fn suite_function<'a>(suite: &SuiteBuilt, id: &'a str) -> Option<&'a str> {
    let name = id.strip_prefix(suite.file.as_str())?.strip_prefix("::")?;
    (!name.contains("::")).then_some(name)
}
