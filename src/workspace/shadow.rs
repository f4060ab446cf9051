//! The shadow git directory: a tree id a step gives fork, diff and restore.
use super::WorkspaceError;
use std::path::{Path, PathBuf};

/// A git tree that holds a workspace's files, ignored and untracked ones too.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TreeId(pub String);

/// A git directory outside the repository whose index takes every file.
pub struct Shadow {
    git_dir: PathBuf,
}

impl Shadow {
    /// Opens the shadow directory at `git_dir`, making it if it is not there.
    pub fn open(git_dir: &Path) -> Result<Self, WorkspaceError> {
        let _ = git_dir;
        todo!()
    }

    /// The tree of `dir` as it stands: tracked, untracked and ignored files
    /// alike; the repository's own `.git` and caches (`__pycache__`, ...) left out.
    pub fn snapshot(&self, dir: &Path) -> Result<TreeId, WorkspaceError> {
        let _ = (dir, &self.git_dir);
        todo!()
    }

    /// Makes `dir` hold exactly `tree`: the fork, and the restore.
    pub fn restore(&self, tree: &TreeId, dir: &Path) -> Result<(), WorkspaceError> {
        let _ = (tree, dir);
        todo!()
    }

    /// The patch from one tree to another as `git apply` takes it; empty if equal.
    /// Files whose path relative to the root is in `without` are left out.
    pub fn diff(
        &self,
        from: &TreeId,
        to: &TreeId,
        without: &[&str],
    ) -> Result<String, WorkspaceError> {
        let _ = (from, to, without);
        todo!()
    }

    /// Paths of all files of a tree, relative to its root, sorted.
    pub fn files(&self, tree: &TreeId) -> Result<Vec<String>, WorkspaceError> {
        let _ = tree;
        todo!()
    }
}
