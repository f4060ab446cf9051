//! Fetches models from a hub: the one thing here that uses a network,
//! and only when a person asks for it by name.
//!
//! `settings` says which hub and as whom, `client` asks it, `remote` fetches its files, and
//! here they get their places. The addresses are hf-hub's; its downloads have no time-out, no limit of
//! redirects, and no check of a length or a checksum, so they are not used.
mod client;
mod file;
mod part;
mod remote;
mod repository;
mod settings;

pub use file::{sha256_hex, sha256_of};
pub use settings::HubSettings;

use super::CheckpointError;
use super::error::io;
use crate::base::{ModelManifest, ModelSource};
use file::HubFile;
use remote::Hub;
use std::path::{Path, PathBuf};

/// The revision of a repository where a manifest names none.
const NEWEST: &str = "main";

/// Fetches what the manifest names into `dir` and gives its path: that of the one file,
/// or of a directory of the model's name with all files of the repository.
///
/// A pull that was cut off goes on where it stopped. A file gets its place
/// only once its size and SHA-256 are right: the manifest's, or for a repository the
/// hub's; a directory gets its name only once it is whole. `on_progress(bytes done,
/// bytes in all)` is called as bytes arrive, and as files of a pull before are found.
///
/// Errors: `HubOffline`, `HubUnreachable`, `HubStatus`, `NotAHub`, `NoCheckpoint`,
/// `WrongSize`, `WrongFile`, `DiskFull`, `PullUnderWay`, `Io`.
pub fn pull(
    manifest: &ModelManifest,
    dir: &Path,
    settings: &HubSettings,
    on_progress: &mut dyn FnMut(u64, u64),
) -> Result<PathBuf, CheckpointError> {
    let target = dir.join(manifest.kept_as());
    let hub = |revision| {
        if settings.is_offline {
            return Err(CheckpointError::HubOffline {
                repo: manifest.hub_repo.clone(),
            });
        }
        std::fs::create_dir_all(dir).map_err(io("create", dir))?;
        Ok(Hub::new(&manifest.hub_repo, revision, dir, settings))
    };
    match &manifest.source {
        ModelSource::File(known) => {
            let file = HubFile {
                name: known.file.clone(),
                bytes: known.bytes,
                sha256: Some(known.sha256.to_ascii_lowercase()),
                blob: None,
            };
            if !file.is_at(&target)? {
                let progress = &mut |done| on_progress(done, file.bytes);
                hub(NEWEST)?.fetch(&file, &target, progress)?;
            }
        }
        ModelSource::Repository { revision } => {
            let hub = hub(revision.as_deref().unwrap_or(NEWEST))?;
            repository::pull(&hub, &target, on_progress)?;
        }
    }
    Ok(target)
}
