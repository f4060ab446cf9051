//! Test suites: consolidated from what trajectories wrote and from the issue's
//! own examples, run by pytest in the sandbox, classed as section 2.2 asks.
//!
//! Counts come from the runner's JUnit XML only, never from a model.
mod apart;
mod classes;
mod compile;
mod evaluate;
mod examples;
mod junit;
mod patch;
mod repository;
mod runner;
mod script;
mod suite;
mod trace;

pub use classes::{classify, gate, is_counted, pass_rate};
pub use compile::compile_faults;
pub use evaluate::{Bench, Evaluation, Plan, evaluate, plan};
pub use examples::{IssueExamples, issue_examples};
pub use junit::{count, parse_junit};
pub use patch::apply_patch;
pub(crate) use repository::{list_files, replace_file};
pub use repository::{repository_tests, restore_tests};
pub use runner::{RunnerLimits, TestRunner};
pub use suite::{
    Consolidated, Dropped, SUITE_FILE, SourceKind, TestSource, consolidate, is_stated, must_pass,
    unmet,
};
pub use trace::trace;

use crate::workspace::WorkspaceError;
use std::path::{Path, PathBuf};

/// What can go wrong with running tests. A test that fails is no error.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "{} cannot import pytest; install it there (`{} -m pip install pytest`), \
         name another interpreter with --python, or a command of your own with --test-cmd",
        python.display(), python.display()
    )]
    NoPytest { python: PathBuf },
    #[error("the helper script {script} failed: {output}")]
    Script {
        script: &'static str,
        output: String,
    },
}

impl VerifyError {
    fn io(what: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            what,
            path: path.to_owned(),
            source,
        }
    }
}
