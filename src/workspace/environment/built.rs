//! An environment that was built, and how.
use super::image::ImageFacts;
use super::layout::{HOSTS_FILE, VENV_DIR};
use super::spec::EnvironmentSpec;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// An environment, by its folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    pub id: String,
    pub dir: PathBuf,
    pub spec: EnvironmentSpec,
    pub built: Built,
}

impl Environment {
    /// The interpreter of its virtual environment, if it has one.
    pub fn python(&self) -> Option<PathBuf> {
        let has_venv = self.spec.python.is_some() && self.spec.image.is_none();
        has_venv.then(|| self.dir.join(VENV_DIR).join("bin/python"))
    }

    /// Variables of every command that runs in it.
    pub(in super::super) fn variables(&self) -> Vec<(String, String)> {
        self.spec.variables_in(&self.dir)
    }

    /// The file in the place of `/etc/hosts`.
    pub(in super::super) fn hosts_file(&self) -> Option<PathBuf> {
        let names_hosts = !self.spec.hosts.is_empty();
        names_hosts.then(|| self.dir.join(HOSTS_FILE))
    }
}

/// How an environment was built.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Built {
    /// For people: where the repository came from.
    pub repository: String,
    /// As its interpreter says, for example `3.9.18`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python_version: Option<String>,
    /// Installed packages, as `pip freeze` has them.
    #[serde(default)]
    pub packages: Vec<String>,
    /// The path of the repository inside, to which an editable install points.
    pub seen_at: PathBuf,
    /// Of an environment that an image is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageFacts>,
    /// Files that the install left in the repository.
    pub n_artefacts: usize,
    pub bytes: u64,
    pub wall_s: u64,
    /// Seconds since 1970.
    pub built_at_s: u64,
}
