//! The folder that environments are kept in, by id.
use super::super::{Lock, Locked, WorkspaceError};
use super::layout::{BUILT_FILE, SPEC_FILE};
use super::{Built, Environment, EnvironmentSpec};
use crate::base::user_dir;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Downloads of packages, shared by all builds.
const CACHE_DIR: &str = ".cache";
/// Its time of change is the last use.
const USED_FILE: &str = "used";

/// A folder of environments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentStore {
    dir: PathBuf,
}

/// One folder of it.
pub struct Kept {
    pub id: String,
    pub dir: PathBuf,
    /// Why it cannot be used, in a clause, where it cannot.
    pub environment: Result<Environment, String>,
    /// Since it was last used, or built.
    pub unused: Duration,
}

impl EnvironmentStore {
    /// The user's: `$EGSS_ENVIRONMENTS_DIR`, else `$XDG_DATA_HOME/egss/environments`, else
    /// `~/.local/share/egss/environments`. Error: there is no home folder.
    pub fn of_user() -> Result<Self, WorkspaceError> {
        let dir = user_dir(
            "EGSS_ENVIRONMENTS_DIR",
            "XDG_DATA_HOME",
            ".local/share",
            "environments",
        );
        let dir = dir.ok_or_else(|| {
            WorkspaceError::Environment(
                "there is no home folder to keep environments in; set EGSS_ENVIRONMENTS_DIR".into(),
            )
        })?;
        Ok(Self::at(&dir))
    }

    /// The one at `dir`, which is made when something is built.
    pub fn at(dir: &Path) -> Self {
        // Paths in virtual environments are absolute.
        let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
        Self { dir }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder of an environment, built or not.
    pub(super) fn folder(&self, id: &str) -> PathBuf {
        self.dir.join(id)
    }

    pub(super) fn cache(&self) -> PathBuf {
        self.dir.join(CACHE_DIR)
    }

    /// The environment that `spec` makes of the repository at `tree`.
    ///
    /// Error: it was not built, or its build did not end.
    pub fn find(&self, spec: &EnvironmentSpec, tree: &Path) -> Result<Environment, WorkspaceError> {
        self.get(&spec.id(tree)?)
    }

    /// The environment of that id. Errors: it was not built, its build did not end, its files
    /// cannot be read.
    pub fn get(&self, id: &str) -> Result<Environment, WorkspaceError> {
        let dir = self.folder(id);
        let environment = load(id, &dir)
            .map_err(|why| WorkspaceError::Environment(format!("the environment {id} {why}")))?;
        // Only a date is lost where this fails.
        let _ = std::fs::write(dir.join(USED_FILE), "");
        Ok(environment)
    }

    /// All of them, by name.
    pub fn list(&self) -> Result<Vec<Kept>, WorkspaceError> {
        let entries = match std::fs::read_dir(&self.dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|e| WorkspaceError::io("list", &self.dir, e))?,
        };
        let folders = entries.flatten().filter(|entry| entry.path().is_dir());
        let ids = folders.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut ids: Vec<String> = ids.filter(|id| !id.starts_with('.')).collect();
        ids.sort();
        let kept = ids.into_iter().map(|id| {
            let dir = self.folder(&id);
            Kept {
                environment: load(&id, &dir),
                unused: unused(&dir),
                id,
                dir,
            }
        });
        Ok(kept.collect())
    }

    /// Removes an environment whole. Error: it is being built, or cannot be removed.
    pub fn remove(&self, id: &str) -> Result<(), WorkspaceError> {
        let _lock = self.lock(id)?;
        let dir = self.folder(id);
        std::fs::remove_dir_all(&dir).map_err(|e| WorkspaceError::io("remove", &dir, e))
    }

    /// Removes what packages were downloaded for, and nothing that an environment needs.
    pub fn forget_downloads(&self) -> Result<(), WorkspaceError> {
        let cache = self.cache();
        match std::fs::remove_dir_all(&cache) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(WorkspaceError::io("remove", &cache, error))
            }
            _ => Ok(()),
        }
    }

    /// Held while an environment is built or removed. Error: somebody else has it.
    pub(super) fn lock(&self, id: &str) -> Result<Lock, WorkspaceError> {
        std::fs::create_dir_all(&self.dir)
            .map_err(|e| WorkspaceError::io("make the folder", &self.dir, e))?;
        match Lock::take(&self.dir.join(format!(".{id}.lock")))? {
            Locked::Taken(lock) => Ok(lock),
            Locked::Held(pid) => {
                let pid = pid.map_or_else(String::new, |pid| format!(" {pid}"));
                Err(WorkspaceError::Environment(format!(
                    "the environment {id} is being built or removed by process{pid}"
                )))
            }
        }
    }
}

/// The error is the rest of a sentence on the environment.
fn load(id: &str, dir: &Path) -> Result<Environment, String> {
    let build = "build it with `egss env build`";
    if !dir.is_dir() {
        return Err(format!("is not there; {build}"));
    }
    let Ok(text) = std::fs::read_to_string(dir.join(BUILT_FILE)) else {
        return Err(format!("was not built to its end; {build}"));
    };
    let built: Built = serde_json::from_str(&text)
        .map_err(|error| format!("has a {BUILT_FILE} that cannot be read ({error}); {build}"))?;
    let spec = EnvironmentSpec::read(&dir.join(SPEC_FILE))
        .map_err(|error| format!("cannot be read ({error}); {build}"))?;
    Ok(Environment {
        id: id.to_owned(),
        dir: dir.to_owned(),
        spec,
        built,
    })
}

fn unused(dir: &Path) -> Duration {
    let times = [USED_FILE, BUILT_FILE, ""].map(|name| dir.join(name).metadata());
    let times = times.into_iter().flatten();
    let newest = times.filter_map(|meta| meta.modified().ok()).max();
    newest
        .and_then(|at| SystemTime::now().duration_since(at).ok())
        .unwrap_or_default()
}
