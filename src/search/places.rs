//! The folder of a run.
//!
//! A run's folder is held by one process at a time. Snapshots take no such folder: they know it by
//! its shadow directory.
use super::error::SearchError;
use crate::index::Links;
use crate::record::{Checkout, LargeData, RECORD_FILE};
use crate::verify::{Bench, Scratch, TestRunner};
use crate::workspace::{
    Lock, Locked, OwnRepository, SHADOW_DIR, Sandbox, Shadow, TreeId, WorkspaceError,
    remove_workspaces,
};
use std::path::{Path, PathBuf};

/// Below a run's directory: workspaces of living branches. Files that a stopped
/// run leaves there are of no use to anybody.
pub const WORK_DIR: &str = "work";
/// Below a run's directory: held by the process that works on it.
const LOCK_FILE: &str = "lock";

/// Below the work folder: the git repository that workspaces get.
const REPOSITORY_DIR: &str = "repository";

/// The places of things in a run's directory.
pub(super) struct Places {
    pub(super) record: PathBuf,
    pub(super) shadow: PathBuf,
    /// Workspaces of living branches; gone when the run has ended.
    pub(super) work: PathBuf,
    scratch: Scratch,
    _lock: Lock,
}

impl Places {
    fn at(run_dir: &Path, lock: Lock) -> Self {
        let work = run_dir.join(WORK_DIR);
        Self {
            record: run_dir.join(RECORD_FILE),
            shadow: run_dir.join(SHADOW_DIR),
            scratch: Scratch::new(&work.join("scratch")),
            work,
            _lock: lock,
        }
    }

    pub(super) fn bench<'a>(
        &'a self,
        shadow: &'a Shadow,
        runner: &'a TestRunner<'a>,
        base: &'a TreeId,
        links: &'a Links,
    ) -> Bench<'a> {
        Bench {
            shadow,
            runner,
            base,
            scratch: &self.scratch,
            links,
        }
    }

    /// Workspaces as layers over one copy of the base, where the kernel can; and the large data
    /// that can only be shown read-only in them.
    pub(super) fn layered(
        &self,
        shadow: Shadow,
        base: &TreeId,
        repo: &Path,
        checkout: &Checkout,
    ) -> (Shadow, Vec<LargeData>) {
        shadow.in_layers(base, &self.work, repo, &checkout.large_data)
    }

    /// The sandbox with a git repository of its own in each workspace, where the user's has one.
    pub(super) fn sandbox(
        &self,
        sandbox: Sandbox,
        has_git: bool,
        shadow: &Shadow,
        base: &TreeId,
    ) -> Result<Sandbox, WorkspaceError> {
        if !has_git {
            return Ok(sandbox);
        }
        let own = OwnRepository::make(shadow, base, &self.work.join(REPOSITORY_DIR))?;
        Ok(sandbox.with_repository(own))
    }

    pub(super) fn make(run_dir: &Path) -> Result<Self, SearchError> {
        let io = |source| SearchError::Io {
            what: "make the run's folder",
            path: run_dir.to_owned(),
            source,
        };
        std::fs::create_dir_all(run_dir).map_err(io)?;
        // The sandbox and git want absolute paths.
        let run_dir = run_dir.canonicalize().map_err(io)?;
        let lock = match Lock::take(&run_dir.join(LOCK_FILE))? {
            Locked::Taken(lock) => lock,
            Locked::Held(pid) => {
                let pid = pid.map_or_else(|| "another".to_owned(), |pid| pid.to_string());
                return Err(SearchError::Held { run_dir, pid });
            }
        };
        let places = Self::at(&run_dir, lock);
        std::fs::create_dir_all(places.work.join("scratch")).map_err(io)?;
        Ok(places)
    }
}

impl Drop for Places {
    /// Workspaces are of no use to anybody once nobody works on the run.
    fn drop(&mut self) {
        remove_workspaces(&self.work).ok();
    }
}
