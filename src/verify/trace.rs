//! Which functions of the repository a failing example runs: where its defect
//! must be, as far as it is in a function at all.
use super::VerifyError;
use super::script::Script;
use crate::record::Reached;
use crate::workspace::Sandbox;
use serde::{Deserialize, Serialize};
use std::path::Path;

const TRACE: Script = Script {
    name: "trace.py",
    text: include_str!("trace.py"),
};

#[derive(Serialize)]
struct Request<'a> {
    text: &'a str,
    tests: &'a [&'a str],
}

#[derive(Deserialize)]
struct Reply {
    reached: Vec<Reached>,
}

/// Runs the functions `tests` of a test file with this `text` in `dir` and
/// tells what they enter of the code there, in the order of the first call.
///
/// Five seconds a test at most; what they print or raise is passed over. Code
/// at module level, code in other languages and in other processes is not seen.
/// Errors: `Script` when the file cannot be imported or the process dies.
pub fn trace(
    sandbox: &Sandbox,
    dir: &Path,
    text: &str,
    tests: &[&str],
) -> Result<Vec<Reached>, VerifyError> {
    let reply: Reply = TRACE.run(sandbox, dir, &Request { text, tests })?;
    Ok(reply.reached)
}
