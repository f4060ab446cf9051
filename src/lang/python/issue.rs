//! Tests out of an issue's text: its examples, and what it reports.
use super::examples::examples;
use super::reported::reported;
use crate::lang::{Dropped, IssueExamples, LangError};
use crate::workspace::Sandbox;
use std::path::Path;

/// Extracts the examples of `issue`, with imports for the names that they use
/// looked up among the top-level definitions of the repository at `repo_dir`.
///
/// With them comes a test of what the issue reports, where the base does it (see [`reported`]).
/// Cost: two Python processes that parse the repository's modules (up to 5,000), and two that
/// run the issue's code.
pub fn issue_examples(
    sandbox: &Sandbox,
    repo_dir: &Path,
    issue: &str,
) -> Result<IssueExamples, LangError> {
    let mut examples = examples(sandbox, repo_dir, issue)?;
    match reported(sandbox, repo_dir, issue) {
        Ok(test) => examples.sources.extend(test),
        // A help, not a need: the session may end its process, or take too long.
        Err(LangError::Script { output, .. }) => examples.dropped.push(Dropped {
            origin: "the session that the issue shows".to_owned(),
            why: format!("it could not be replayed on the base: {output}"),
        }),
        Err(error) => return Err(error),
    }
    Ok(examples)
}
