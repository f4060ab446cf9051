//! Errors of a run.
use crate::agent::AgentError;
use crate::engine::EngineError;
use crate::lang::LangError;
use crate::record::RecordError;
use crate::verify::VerifyError;
use crate::workspace::WorkspaceError;
use std::path::PathBuf;

/// An error that ends a run without a result. The record keeps what was done.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Agent(#[from] AgentError),
    #[error(transparent)]
    Lang(#[from] LangError),
    #[error(transparent)]
    Verify(#[from] VerifyError),
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("the strategy asks for the model {name:?}, which was not opened")]
    NoModel { name: String },
    #[error("the model {name:?} has no room for what it should read; raise --kv-mem or --ctx")]
    NoRoom { name: String },
    /// A continuation was cut short; room can still be made for it.
    #[error("the KV pool is full; raise --kv-mem or lower the number of branches")]
    Crowded,
    #[error("an entropy signal cannot be read: {0}")]
    Signal(String),
    #[error(
        "{} is being worked on by process {pid}; wait for its end, or stop it",
        run_dir.display()
    )]
    Held { run_dir: PathBuf, pid: String },
    #[error(
        "tests that passed on the base when the run began fail there now, twice ({n}: {}); give the run the interpreter and the environment that it had, or start a new one",
        names.join(", ")
    )]
    BaseChanged { n: usize, names: Vec<String> },
    #[error("the patch does not apply: {0}")]
    BadPatch(String),
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
}

impl SearchError {
    /// True where a larger KV pool would have gone on.
    pub(super) fn is_pool_full(&self) -> bool {
        matches!(
            self,
            Self::Crowded | Self::Engine(EngineError::KvPoolFull { .. })
        )
    }

    /// True where a longer context, or more room for another model's, would have
    /// gone on.
    pub(super) fn is_context_full(&self) -> bool {
        matches!(
            self,
            Self::NoRoom { .. } | Self::Engine(EngineError::ContextFull { .. })
        )
    }
}
