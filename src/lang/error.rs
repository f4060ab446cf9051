//! Errors of a language's tools.
use crate::workspace::WorkspaceError;
use std::path::{Path, PathBuf};

/// A fault of the world. A test that fails is none, nor is code that does not parse.
#[derive(Debug, thiserror::Error)]
pub enum LangError {
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
    /// A runner of tests, or what it needs, is missing: a sentence that says what to do.
    #[error("{0}")]
    NoRunner(String),
    #[error("the helper script {script} failed: {output}")]
    Script {
        script: &'static str,
        output: String,
    },
}

impl LangError {
    pub(super) fn io(what: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            what,
            path: path.to_owned(),
            source,
        }
    }
}
