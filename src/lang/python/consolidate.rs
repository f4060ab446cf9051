//! Consolidation: many sources of tests, one file at the repository's root.
//! The sources are parsed by Python's own `ast` in the sandbox, not imported.
use super::script::{By, Script};
use crate::lang::{Consolidated, LangError, TestSource};
use crate::workspace::Sandbox;
use serde::Serialize;

/// The consolidated suite's file, at the repository's root.
pub const SUITE_FILE: &str = "test_current_issue.py";

const CONSOLIDATE: Script = Script {
    name: "consolidate.py",
    text: include_str!("consolidate.py"),
    by: By::Own,
    beside: &[],
};

#[derive(Serialize)]
struct Request<'a> {
    sources: Vec<RequestSource<'a>>,
    strict: bool,
    /// The program of the interpreter that will run the suite, if it is another one.
    python: Option<&'static str>,
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
/// depend on. A source that the interpreter under test does not compile is dropped.
/// Cost: one Python process of about 0.1 s; where the interpreter under test is not the one
/// that runs helpers, one more of about 0.05 s a source.
pub fn consolidate(sandbox: &Sandbox, sources: &[TestSource]) -> Result<Consolidated, LangError> {
    consolidated(sandbox, sources, false)
}

/// One source as it would be in the suite, but for its imports: one that fails
/// fails the file.
pub(super) fn strict(sandbox: &Sandbox, source: &TestSource) -> Result<Consolidated, LangError> {
    consolidated(sandbox, std::slice::from_ref(source), true)
}

fn consolidated(
    sandbox: &Sandbox,
    sources: &[TestSource],
    strict: bool,
) -> Result<Consolidated, LangError> {
    if sources.is_empty() {
        return Ok(Consolidated::default());
    }
    let scratch = tempfile::tempdir()
        .map_err(|source| LangError::io("make a folder in", &std::env::temp_dir(), source))?;
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
        python: sandbox.has_second_python().then_some("python3"),
    };
    CONSOLIDATE.run(sandbox, scratch.path(), &request)
}
