//! A test of what an issue reports: its code is replayed on the base as one session, and an
//! outcome that the issue shows and the base has is what a fix changes.
//!
//! All code of the issue runs on the base as one session (`replay.py`), twice. An outcome
//! counts if the issue shows it and the base has it both times. Errors come before values. Of
//! several values one has to change, since right values may stand beside the fault. A name
//! that is gone is no fix. The test holds the session's statements and the code that replays
//! them.
use super::examples;
use super::script::{By, Script};
use crate::lang::{LangError, SourceKind, TestSource};
use crate::workspace::Sandbox;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;

const REPLAY_TEXT: &str = include_str!("replay.py");

/// Finds the session; given what it came to, writes the test.
const REPORTED: Script = Script {
    name: "reported.py",
    text: include_str!("reported.py"),
    by: By::Own,
    beside: &[("examples.py", examples::TEXT), ("replay.py", REPLAY_TEXT)],
};
const REPLAY: Script = Script {
    name: "replay.py",
    text: REPLAY_TEXT,
    by: By::UnderTest,
    beside: &[],
};

#[derive(Serialize)]
struct Find<'a> {
    issue: &'a str,
}

#[derive(Deserialize)]
struct Session {
    steps: Vec<Step>,
}

#[derive(Serialize, Deserialize)]
struct Step {
    source: String,
    want: String,
    near: String,
}

#[derive(Serialize)]
struct Play<'a> {
    steps: Vec<&'a str>,
}

/// Outcomes, in the order of the steps; the helpers' own.
#[derive(Deserialize)]
struct Played {
    outcomes: Vec<Value>,
}

#[derive(Serialize)]
struct Write<'a> {
    issue: &'a str,
    steps: &'a [Step],
    runs: [Vec<Value>; 2],
}

#[derive(Deserialize)]
struct Written {
    text: Option<String>,
}

/// The test of what `issue` reports and the code at `repo_dir` does; `None` where it does
/// nothing of it. It passes once one of the outcomes has changed.
///
/// An outcome counts only where two replays agree on it, so that no address and no random
/// number does. Errors: `Script` where the session ends its process or takes too long.
pub(super) fn reported(
    sandbox: &Sandbox,
    repo_dir: &Path,
    issue: &str,
) -> Result<Option<TestSource>, LangError> {
    let Session { steps } = REPORTED.run(sandbox, repo_dir, &Find { issue })?;
    if steps.is_empty() {
        return Ok(None);
    }
    let play = Play {
        steps: steps.iter().map(|step| step.source.as_str()).collect(),
    };
    let replay = || REPLAY.run::<Played>(sandbox, repo_dir, &play);
    let request = Write {
        issue,
        steps: &steps,
        runs: [replay()?.outcomes, replay()?.outcomes],
    };
    let written: Written = REPORTED.run(sandbox, repo_dir, &request)?;
    Ok(written.text.map(|text| TestSource {
        origin: "what the issue reports".to_owned(),
        kind: SourceKind::IssueReported,
        path: None,
        text,
    }))
}
