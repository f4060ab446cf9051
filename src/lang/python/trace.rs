//! Which functions of the repository a failing example runs: where its defect
//! must be, as far as it is in a function at all.
use super::script::{By, Script};
use crate::lang::LangError;
use crate::record::Reached;
use crate::workspace::Sandbox;
use serde::{Deserialize, Serialize};
use std::path::Path;

const TRACE: Script = Script {
    name: "trace.py",
    text: include_str!("trace.py"),
    by: By::UnderTest,
    beside: &[],
};

#[derive(Serialize)]
struct Request<'a> {
    text: &'a str,
    tests: &'a [&'a str],
}

#[derive(Deserialize)]
struct Reply {
    reached: Vec<Reached>,
    complete: bool,
}

/// Runs the functions `tests` of a test file with this `text` in `dir` and
/// tells what they enter of the code there, in the order of the first call.
///
/// What they print or raise is passed over. A test that takes more than five
/// seconds makes the answer empty, as what it would have run is not known. Code
/// at module level, in other languages and in other processes is not seen, nor
/// are methods that a class was given by a decorator.
///
/// Unlike this module's other helpers this one imports and runs the repository.
/// Errors: `Script` when the file cannot be imported or the process dies.
pub fn trace(
    sandbox: &Sandbox,
    dir: &Path,
    text: &str,
    tests: &[&str],
) -> Result<Vec<Reached>, LangError> {
    let reply: Reply = TRACE.run(sandbox, dir, &Request { text, tests })?;
    Ok(match reply.complete {
        true => reply.reached,
        false => Vec::new(),
    })
}
