//! What the harness may run by itself after an edit.
use super::AgentError;
use std::path::Path;

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckReport {
    pub passed: bool,
    /// What the agent is shown: short, the failure's own words.
    pub text: String,
}

/// Runs after an edit that compiles: the repository's tests, the issue's own
/// examples. Supplied from above, so that the agent knows no test runner.
pub trait AfterEdit {
    /// `None` when there is nothing to check.
    fn check(&self, dir: &Path) -> Result<Option<CheckReport>, AgentError>;
}

impl<F> AfterEdit for F
where
    F: Fn(&Path) -> Result<Option<CheckReport>, AgentError>,
{
    fn check(&self, dir: &Path) -> Result<Option<CheckReport>, AgentError> {
        self(dir)
    }
}
