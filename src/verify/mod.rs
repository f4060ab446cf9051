//! Test suites: consolidated from what trajectories wrote, the issue's own
//! examples and a model's additions, run in the sandbox by the runner that fits
//! the repository, classed as section 2.2 asks.
//!
//! Counts come from the runner's JUnit XML only, never from a model.
//!
//! [`plan()`] merges the issue's examples, what trajectories wrote and what a model adds
//! ([`augment()`], off by default) into one suite, and runs it on the base. [`evaluate()`]
//! runs it on the base again and on each patch, by the base's version of the tests, and
//! classes every test. A test whose result on one tree differs between two runs is set aside,
//! with the reason, and counts nowhere. The coverage of a patch's lines is measured in a run
//! of its own and is a figure only. The user's `--test-cmd` comes before a language's runner:
//! a command that writes JUnit XML gives tests one by one, as does one that takes dotted
//! modules (`modules.rs`); any other passes or fails as a whole.
//!
//! Tests run as far as time goes. A run before the search and a check after an edit have
//! `--check-s-max`, the runs of the end `--verify-s-max` ([`TestRunner::within`]).
mod augment;
mod bench;
mod changed;
mod classes;
mod code;
mod command;
mod evaluate;
mod kept;
mod modules;
mod not_run;
mod order;
mod patch;
mod plan;
mod repository;
mod runner;
mod scratch;
mod suite;

pub use augment::augment;
pub use bench::Bench;
pub use classes::{classify, counted, gate, is_counted, pass_rate, written_rate};
pub use evaluate::{Evaluation, evaluate};
pub use not_run::NotRun;
pub use patch::{apply_patch, patched_files};
pub use plan::{Plan, plan, untested};
pub use repository::restore_tests;
pub use runner::{OwnTests, TestRunner};
pub use scratch::{Scratch, TreeCopy};
pub use suite::{is_of_suite, is_stated, must_pass, unmet};

use crate::base::{AugmentSettings, RngKey, SamplerSettings, SeqId};
use crate::engine::EngineError;
use crate::lang::LangError;
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
    #[error(transparent)]
    Lang(LangError),
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
}

impl From<LangError> for VerifyError {
    fn from(error: LangError) -> Self {
        match error {
            LangError::Workspace(error) => Self::Workspace(error),
            error => Self::Lang(error),
        }
    }
}

impl VerifyError {
    /// True where the run's time was over before the tests were.
    fn is_deadline(&self) -> bool {
        matches!(self, Self::Workspace(WorkspaceError::DeadlinePassed))
    }

    fn io(what: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            what,
            path: path.to_owned(),
            source,
        }
    }
}
