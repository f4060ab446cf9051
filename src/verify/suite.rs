//! Consolidation: many sources of tests, one file at the repository's root.
//! The sources are parsed by Python's own `ast` in the sandbox, not imported.
use super::VerifyError;
use super::script::Script;
use crate::record::{SuiteBuilt, SuiteRun, TestOutcome, TestResult};
use crate::workspace::Sandbox;
use serde::{Deserialize, Serialize};

/// The consolidated suite's file, at the repository's root.
pub const SUITE_FILE: &str = "test_current_issue.py";

const CONSOLIDATE: Script = Script {
    name: "consolidate.py",
    text: include_str!("consolidate.py"),
};

/// Where the bare assertions of a source come from: it names the test
/// functions that they are wrapped into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// Written by a trajectory, or newly for the suite.
    Written,
    /// An example of the issue that says what should hold.
    IssueStated,
    /// An example of the issue that may show today's fault: it counts only
    /// where it fails on the base.
    IssueShown,
}

impl SourceKind {
    /// No written test keeps a name that begins so (`consolidate.py`).
    const ISSUE_PREFIX: &'static str = "test_issue_";
    pub(super) const ISSUE_SHOWN_PREFIX: &'static str = "test_issue_shown";
    const ISSUE_STATED_PREFIX: &'static str = "test_issue_stated";

    fn prefix(self) -> &'static str {
        match self {
            Self::Written => "test_assert",
            Self::IssueStated => Self::ISSUE_STATED_PREFIX,
            Self::IssueShown => Self::ISSUE_SHOWN_PREFIX,
        }
    }
}

/// A test file, a debug script, or an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestSource {
    /// One clause for a person: `branch 2's test_repro.py`.
    pub origin: String,
    pub kind: SourceKind,
    /// Python source; what does not parse is dropped and named.
    pub text: String,
}

/// A source, or a part of one, that did not get into the suite.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Dropped {
    pub origin: String,
    pub why: String,
}

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.origin, self.why)
    }
}

/// The suite before it is run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Consolidated {
    /// The file's text, which compiles; empty if there is no test.
    pub text: String,
    /// Each test function or class with its origin, in the file's order.
    pub tests: Vec<(String, String)>,
    pub dropped: Vec<Dropped>,
}

/// A test that a patch has to pass: one that passes on the base, or an example
/// that the issue says should hold.
pub fn must_pass(suite: &SuiteBuilt, base: &TestOutcome) -> bool {
    base.result == TestResult::Passed || is_stated(suite, base)
}

/// Stated examples that fail on the base and still do not pass in `run`: what
/// the issue asks for and a patch does not give.
pub fn unmet<'a>(suite: &SuiteBuilt, base: &'a SuiteRun, run: &SuiteRun) -> Vec<&'a str> {
    let passes = |id: &str| {
        let mut found = run.tests.iter().filter(|test| test.id == id);
        found.any(|test| test.result == TestResult::Passed)
    };
    let stated = base.tests.iter().filter(|test| is_stated(suite, test));
    stated
        .map(|test| test.id.as_str())
        .filter(|id| !passes(id))
        .collect()
}

/// An example that the issue says should hold, and does not on the base.
pub fn is_stated(suite: &SuiteBuilt, base: &TestOutcome) -> bool {
    let name = suite_function(suite, &base.id);
    base.result != TestResult::Passed
        && name.is_some_and(|name| name.starts_with(SourceKind::ISSUE_STATED_PREFIX))
}

/// An example of the issue, stated or shown.
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

#[derive(Serialize)]
struct Request<'a> {
    sources: Vec<RequestSource<'a>>,
    strict: bool,
}

#[derive(Serialize)]
struct RequestSource<'a> {
    origin: &'a str,
    text: &'a str,
    prefix: &'static str,
}

/// Merges sources two at a time, in their order: trajectory by trajectory, each
/// is folded into the merge of those before it.
///
/// Imports are hoisted, tests and helpers that collide renamed, equal tests
/// dropped, module-level assertions wrapped into functions with what they
/// depend on. Cost: one Python process of about 0.1 s.
pub fn consolidate(sandbox: &Sandbox, sources: &[TestSource]) -> Result<Consolidated, VerifyError> {
    consolidated(sandbox, sources, false)
}

/// One source as it would be in the suite, but for its imports: one that fails
/// fails the file.
pub(super) fn strict(sandbox: &Sandbox, source: &TestSource) -> Result<Consolidated, VerifyError> {
    consolidated(sandbox, std::slice::from_ref(source), true)
}

fn consolidated(
    sandbox: &Sandbox,
    sources: &[TestSource],
    strict: bool,
) -> Result<Consolidated, VerifyError> {
    if sources.is_empty() {
        return Ok(Consolidated::default());
    }
    let scratch = tempfile::tempdir()
        .map_err(|source| VerifyError::io("make a folder in", &std::env::temp_dir(), source))?;
    let request = Request {
        sources: sources
            .iter()
            .map(|source| RequestSource {
                origin: &source.origin,
                text: &source.text,
                prefix: source.kind.prefix(),
            })
            .collect(),
        strict,
    };
    CONSOLIDATE.run(sandbox, scratch.path(), &request)
}
