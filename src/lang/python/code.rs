//! Digests of syntax trees, which Python's own `ast` makes.
use super::script::{By, Script};
use crate::lang::LangError;
use crate::workspace::Sandbox;
use serde::Serialize;
use std::path::Path;

const CODE: Script = Script {
    name: "code.py",
    text: include_str!("code.py"),
    by: By::UnderTest,
    beside: &[],
};

#[derive(Serialize)]
struct Request<'a> {
    files: &'a [String],
}

/// A digest of each file's syntax tree, comments, layout and strings that stand alone
/// left out; `None` for one that does not parse. Cost: one start of Python.
pub(super) fn digests(
    sandbox: &Sandbox,
    dir: &Path,
    files: &[String],
) -> Result<Vec<Option<String>>, LangError> {
    match files.is_empty() {
        true => Ok(Vec::new()),
        false => CODE.run(sandbox, dir, &Request { files }),
    }
}
