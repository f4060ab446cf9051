//! Git's index files of workspaces.
use super::{WorkspaceError, git};
use sha2::{Digest, Sha256};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

/// The index file of one directory, out of its place while a call uses it.
///
/// An index tells which files changed by their times. It is renamed and never
/// copied: git compares a file's time with the index's own to see that it
/// cannot tell, and a copy would be too young. A call that fails, or is
/// killed, loses the index, which costs time and nothing else; and no lock
/// file is left that would stop the next one.
pub(super) struct Index<'a> {
    git_dir: &'a Path,
    dir: PathBuf,
    home: PathBuf,
    path: PathBuf,
    pub had_entries: bool,
}

impl<'a> Index<'a> {
    pub fn take(git_dir: &'a Path, dir: &Path) -> Result<Self, WorkspaceError> {
        let mut index = Self::empty(git_dir, dir);
        match std::fs::rename(&index.home, &index.path) {
            Ok(()) => index.had_entries = true,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(WorkspaceError::io("open", &index.home, source)),
        }
        Ok(index)
    }

    pub fn empty(git_dir: &'a Path, dir: &Path) -> Self {
        static CALLS: AtomicU64 = AtomicU64::new(0);
        let indices = git_dir.join("indices");
        let home = indices.join(folder_key(dir));
        let call = CALLS.fetch_add(1, Ordering::Relaxed);
        let path = indices.join(format!("{}.{}.{call}", folder_key(dir), std::process::id()));
        Self {
            git_dir,
            dir: dir.to_owned(),
            home,
            path,
            had_entries: false,
        }
    }

    pub fn git(&self, args: &[&str]) -> Command {
        let mut git = git::with_files(self.git_dir, &self.dir, &self.path);
        git.args(args);
        git
    }

    pub fn keep(self) -> Result<(), WorkspaceError> {
        match std::fs::rename(&self.path, &self.home) {
            // Git writes no index for no files.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(WorkspaceError::io("keep", &self.home, source)),
            Ok(()) => Ok(()),
        }
    }
}

impl Drop for Index<'_> {
    fn drop(&mut self) {
        // After `keep` there is nothing under this name any more.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A file name that stands for a directory.
pub fn folder_key(dir: &Path) -> String {
    let digest = Sha256::digest(dir.as_os_str().as_bytes());
    digest.iter().take(16).map(|b| format!("{b:02x}")).collect()
}
