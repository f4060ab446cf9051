//! Tests of a repository: looked for before a run, and told of where none ran.
use super::watch::TerminalWatcher;
use crate::lang::{RunnerLimits, usual_test_command};
use crate::search::{Watcher, test_runner};
use crate::verify::OwnTests;
use crate::workspace::{Environment, Sandbox, repository_files};
use std::path::Path;

/// A patch was found, and no test ran on it.
#[derive(Debug)]
pub struct NotTested {
    /// A sentence, where there is a reason.
    pub why: Option<String>,
    /// A command that such repositories are usually tested by.
    pub usual: Option<&'static str>,
}

impl NotTested {
    /// The program's exit status, for scripts.
    pub const STATUS: u8 = 3;
}

impl std::error::Error for NotTested {}

impl std::fmt::Display for NotTested {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let why = self
            .why
            .as_deref()
            .unwrap_or("no test was found that egss can run");
        write!(f, "the patch is not tested: {why}; ")?;
        match self.usual {
            Some(usual) => write!(f, "name the tests' command, likely --test-cmd '{usual}'"),
            None => write!(f, "name the tests' command by --test-cmd"),
        }
    }
}

/// Finds the runner of a repository's tests, and says where there is none. Errors: what it
/// needs is missing.
pub fn check_tests(
    repo: &Path,
    sandbox: &Sandbox,
    own_tests: &OwnTests,
    environment: Option<&Environment>,
    watcher: &TerminalWatcher,
) -> anyhow::Result<()> {
    let files = repository_files(repo)?.0;
    let limits = RunnerLimits::default();
    let (own, runner) = test_runner(sandbox, limits, own_tests, environment, &files)?;
    if own.command.is_none() && runner.runner().targets(&files).is_empty() {
        let usual = usual_test_command(&files);
        let advice = usual.map_or_else(
            || "--test-cmd names a command that runs them".to_owned(),
            |usual| format!("--test-cmd names a command that runs them, likely '{usual}'"),
        );
        watcher.stage(&format!("no test was found that egss can run: {advice}"));
    }
    Ok(())
}
