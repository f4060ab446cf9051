//! What an agent may touch: copies of the user's tree, and the sandbox that
//! commands run in. The user's checkout is only ever read.
mod sandbox;
mod shadow;

pub use sandbox::{CommandEnd, CommandOutput, Limits, Sandbox, SandboxMode};
pub use shadow::{Shadow, TreeId};

use std::path::PathBuf;

/// What can go wrong around a workspace.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("git {what} failed: {stderr}")]
    Git { what: String, stderr: String },
    #[error("{0}")]
    NoSandbox(String),
}
