//! The names of what lies in an environment's folder.

/// The spec that it was built by.
pub(super) const SPEC_FILE: &str = "env.toml";
/// How it was built; it is there once the build has ended.
pub(super) const BUILT_FILE: &str = "built.json";
/// The virtual environment.
pub(super) const VENV_DIR: &str = "venv";
/// The files of an image.
pub(super) const IMAGE_DIR: &str = "image";
/// Files that the install left in the repository.
pub(super) const ARTEFACTS_DIR: &str = "artefacts";
/// Stands in the place of `/etc/hosts`, where the spec names hosts.
pub(super) const HOSTS_FILE: &str = "hosts";
/// All that the build's commands said.
pub(super) const LOG_FILE: &str = "build.log";
