//! Executable examples out of an issue's text: asserts and `>>>` lines, found
//! and resolved mechanically, by the same rules for any repository.
use super::script::{By, Script};
use crate::lang::{Dropped, IssueExamples, LangError, SourceKind, TestSource};
use crate::workspace::Sandbox;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The helper, which another one imports.
pub(super) const TEXT: &str = include_str!("examples.py");

const EXAMPLES: Script = Script {
    name: "examples.py",
    text: TEXT,
    by: By::Own,
    beside: &[],
};

#[derive(Serialize)]
struct Request<'a> {
    issue: &'a str,
}

#[derive(Deserialize)]
struct Reply {
    examples: Vec<Example>,
    /// `(snippet, why)`.
    dropped: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct Example {
    kind: Kind,
    text: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Stated,
    Shown,
}

/// Extracts the examples of `issue`, with imports for the names that they use
/// looked up among the top-level definitions of the repository at `repo_dir`.
pub(super) fn examples(
    sandbox: &Sandbox,
    repo_dir: &Path,
    issue: &str,
) -> Result<IssueExamples, LangError> {
    let reply: Reply = EXAMPLES.run(sandbox, repo_dir, &Request { issue })?;
    let sources = reply.examples.into_iter().map(|example| TestSource {
        origin: "issue example".to_owned(),
        kind: match example.kind {
            Kind::Stated => SourceKind::IssueStated,
            Kind::Shown => SourceKind::IssueShown,
        },
        path: None,
        text: example.text,
    });
    let dropped = reply.dropped.into_iter().map(|(snippet, why)| Dropped {
        origin: format!("issue example `{}`", snippet.lines().next().unwrap_or("")),
        why,
    });
    Ok(IssueExamples {
        sources: sources.collect(),
        dropped: dropped.collect(),
    })
}
