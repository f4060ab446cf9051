//! Test suites: consolidated from what trajectories wrote, the issue's own
//! examples and a model's additions, run in the sandbox by the runner that fits
//! the repository, classed as section 2.2 asks.
//!
//! Counts come from the runner's JUnit XML only, never from a model.
mod apart;
mod augment;
mod bench;
mod build;
mod changed;
mod classes;
mod code;
mod compile;
mod evaluate;
mod examples;
mod junit;
mod nextest;
mod patch;
mod plan;
mod pytest;
mod repository;
mod runner;
mod rust_suite;
mod script;
mod suite;
mod trace;

pub use augment::augment;
pub use bench::Bench;
pub use changed::ChangedLines;
pub use classes::{classify, counted, gate, is_counted, pass_rate, written_rate};
pub use compile::compile_faults;
pub use evaluate::{Evaluation, evaluate};
pub use examples::{IssueExamples, issue_examples};
pub use junit::{count, parse_junit};
pub use patch::apply_patch;
pub use plan::{Plan, plan};
pub(crate) use repository::{list_files, replace_file};
pub use repository::{repository_tests, restore_tests};
pub use runner::{Ran, Runner, RunnerLimits, TestRunner};
pub use rust_suite::RUST_SUITE_FILE;
pub use suite::{
    Consolidated, Dropped, SUITE_FILE, SourceKind, TestSource, consolidate, is_of_suite, is_stated,
    must_pass, unmet,
};
pub use trace::trace;

use crate::base::{AugmentSettings, RngKey, SamplerSettings, SeqId};
use crate::engine::EngineError;
use crate::workspace::{TreeId, WorkspaceError};
use std::path::{Path, PathBuf};

/// A request for tests that a model writes: see [`augment()`].
pub struct AugmentRequest<'a> {
    pub settings: AugmentSettings,
    /// Ends with a trajectory's last action: the model has the issue and the
    /// code before it. `None`: a prompt of its own, which holds the issue only.
    pub behind: Option<SeqId>,
    pub issue: &'a str,
    /// What is answered has to be collected here: the trajectory's own tree,
    /// so that a test may use what its patch adds.
    pub tree: &'a TreeId,
    /// Names of the tests that there are.
    pub known: &'a [String],
    /// One clause for a person: `the model behind branch 2`.
    pub origin: String,
    pub sampler: SamplerSettings,
    pub rng: RngKey,
    /// Decoded + computed tokens, repairs included; the last answer's own
    /// prompt may go beyond it.
    pub tokens_max: u64,
}

/// What can go wrong with running tests. A test that fails is no error.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    #[error(transparent)]
    Engine(#[from] EngineError),
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
    /// Cargo or cargo-nextest is missing: a sentence that says what to do.
    #[error("{0}")]
    NoNextest(String),
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
