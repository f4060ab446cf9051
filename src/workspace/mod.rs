//! What an agent may touch: copies of the user's tree, and the sandbox that
//! commands run in. The user's checkout is only ever read.
//!
//! A workspace is a plain directory. Forking one is [`Shadow::restore`] of its
//! tree into another directory; going back is `restore` into the same one.
mod bubblewrap;
mod checkout;
mod copy;
mod environment;
mod git;
mod index_file;
mod large;
mod layers;
mod limits;
mod lock;
mod mirror;
mod namespace;
mod nul;
mod output;
mod processes;
mod python;
mod repository;
mod sandbox;
mod shadow;
mod stage;
mod stored;
mod supervise;
mod toolchain;
mod tree_id;
mod trees;
mod walk;

pub use checkout::{git_settings, tracked_folders};
pub use copy::put_file;
pub use environment::{
    BuildRequest, Built, Environment, EnvironmentSpec, EnvironmentStore, ImageFacts, Kept, Rebuild,
    Service, build_environment, find_uv,
};
pub use index_file::folder_key;
pub use limits::{CommandEnd, CommandOutput, Limits, Stopped};
pub use lock::{Lock, Locked};
pub use mirror::Mirror;
pub use namespace::{enter_namespace, remove_workspaces};
pub use python::find_python;
pub use repository::OwnRepository;
pub use sandbox::{Sandbox, SandboxMode};
pub use shadow::{Shadow, Snapshot, repository_prefix};
pub use stored::{StoredPatch, apply_fault};
pub use toolchain::Toolchain;
pub use tree_id::TreeId;
pub use trees::{Change, FileDiff, TreeFile};
pub use walk::{LeftOut, SHADOW_DIR, repository_files};

use std::path::{Path, PathBuf};

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
    #[error(
        "git was not found; install it with scripts/setup or your distribution's package `git`"
    )]
    NoGit,
    #[error("the repository {} does not exist", .0.display())]
    NoRepository(PathBuf),
    #[error("{} is a file; give the folder that holds the repository", .0.display())]
    NotADirectory(PathBuf),
    #[error("the disk that holds {} is full; free some space, then run again", .0.display())]
    DiskFull(PathBuf),
    #[error(
        "there is no snapshot {id} in {}; the run's files were moved or edited",
        git_dir.display()
    )]
    NoTree { id: String, git_dir: PathBuf },
    #[error(
        "{} is a git checkout that is no workspace of this run; nothing was written to it",
        .0.display()
    )]
    NotAWorkspace(PathBuf),
    #[error("the run's time is over; --wall-s-max gives it more")]
    DeadlinePassed,
    /// A sentence on an environment of the code under test.
    #[error("{0}")]
    Environment(String),
    #[error("{0}")]
    NoPython(String),
    #[error("{0}")]
    NoSandbox(String),
}

impl WorkspaceError {
    /// An input or output error at `path`; a full disk gets its own sentence.
    fn io(what: &'static str, path: &Path, source: std::io::Error) -> Self {
        if source.kind() == std::io::ErrorKind::StorageFull {
            return Self::DiskFull(path.to_owned());
        }
        Self::Io {
            what,
            path: path.to_owned(),
            source,
        }
    }
}

/// The directory's canonical path. Errors: it does not exist, it is a file.
fn existing_dir(dir: &Path) -> Result<PathBuf, WorkspaceError> {
    let path = dir.canonicalize().map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => WorkspaceError::NoRepository(dir.to_owned()),
        _ => WorkspaceError::io("open the directory", dir, source),
    })?;
    if !path.is_dir() {
        return Err(WorkspaceError::NotADirectory(dir.to_owned()));
    }
    Ok(path)
}
