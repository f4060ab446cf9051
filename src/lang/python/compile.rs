//! Whether a patch left Python files that compile.
use super::script::{By, Script};
use crate::lang::LangError;
use crate::workspace::Sandbox;
use serde::Serialize;
use std::path::Path;

const COMPILE: Script = Script {
    name: "compile.py",
    text: include_str!("compile.py"),
    by: By::UnderTest,
    beside: &[],
};

#[derive(Serialize)]
struct Request<'a> {
    files: &'a [String],
}

/// One sentence for each of `files` (relative to `dir`) that does not compile.
pub fn compile_faults(
    sandbox: &Sandbox,
    dir: &Path,
    files: &[String],
) -> Result<Vec<String>, LangError> {
    if files.is_empty() {
        return Ok(Vec::new());
    }
    COMPILE.run(sandbox, dir, &Request { files })
}
