//! Sources of tests, and one suite made of them.
use serde::Deserialize;

/// Where the bare assertions of a source come from: it names the test functions that
/// they are wrapped into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// Written by a trajectory, or newly for the suite.
    Written,
    /// An assertion of the issue: it says what should hold.
    IssueStated,
    /// A session of the issue, which may show what should hold or today's fault: it counts
    /// only where it fails on the base.
    IssueShown,
    /// An outcome that the issue shows and the base has: the test fails there, and a fix
    /// changes it.
    IssueReported,
}

impl SourceKind {
    /// No written test keeps a name that begins so.
    pub(crate) const ISSUE_PREFIX: &'static str = "test_issue_";
    pub(crate) const ISSUE_STATED_PREFIX: &'static str = "test_issue_stated";
    const ISSUE_SHOWN_PREFIX: &'static str = "test_issue_shown";
    const ISSUE_REPORTED_PREFIX: &'static str = "test_issue_reported";

    /// The prefix of its test functions.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::Written => "test_assert",
            Self::IssueStated => Self::ISSUE_STATED_PREFIX,
            Self::IssueShown => Self::ISSUE_SHOWN_PREFIX,
            Self::IssueReported => Self::ISSUE_REPORTED_PREFIX,
        }
    }
}

/// A test file, a debug script, or an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestSource {
    /// One clause for a person: `branch 2's test_repro.py`.
    pub origin: String,
    pub kind: SourceKind,
    /// Where its author put it, relative to the repository's root; `None` for one that
    /// has no place of its own.
    pub path: Option<String>,
    /// Source code; what does not parse is dropped and named.
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

/// Examples of an issue that became sources of tests, and those that could not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IssueExamples {
    pub sources: Vec<TestSource>,
    pub dropped: Vec<Dropped>,
}
