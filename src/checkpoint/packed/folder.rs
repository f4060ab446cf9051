//! The folder of packed weights: what is kept in it, and what has to go.
use super::{PackedFile, PackedKey};
use crate::checkpoint::{CheckpointError, models_dir};
use egss_kernels::PackedMatrix;
use serde::Serialize;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Bytes of all files together, at most.
const ALL_BYTES_MAX: u64 = 64 << 30;
/// Of the disk one part in so many stays free.
const FREE_PART: u64 = 10;
/// The end of the files' names, and that of one which is being written.
const ENDING: &str = "packed";
const UNFINISHED: &str = "unfinished";

/// A folder of packed weights.
#[derive(Clone, Debug)]
pub struct PackedFolder {
    path: PathBuf,
    bytes_max: u64,
}

/// The end of [`PackedFolder::keep`].
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Written,
    /// They are larger than all that may be kept, or than what the disk can spare.
    NoRoom,
    /// The checkpoint's files changed meanwhile: nothing is kept of two states.
    Changed,
}

/// A file that stays.
#[derive(Debug, Serialize)]
pub struct Kept {
    pub path: PathBuf,
    /// The checkpoint that it was made of.
    pub of: PathBuf,
    pub bytes: u64,
}

/// A file that was removed.
#[derive(Debug, Serialize)]
pub struct Removed {
    pub path: PathBuf,
    pub bytes: u64,
    pub reason: &'static str,
}

/// The work of [`PackedFolder::prune`].
#[derive(Debug, Serialize)]
pub struct Pruned {
    pub kept: Vec<Kept>,
    pub removed: Vec<Removed>,
}

impl PackedFolder {
    /// The one beside the user's models. Errors: `NoModelsDir`.
    pub fn of_user() -> Result<Self, CheckpointError> {
        Ok(Self::at(models_dir()?.join("packed"), ALL_BYTES_MAX))
    }

    /// Any folder, for `bytes_max` in all. It is made when there is something to keep.
    pub fn at(path: PathBuf, bytes_max: u64) -> Self {
        Self { path, bytes_max }
    }

    /// The file of a checkpoint, if it was kept and is whole.
    pub fn find(&self, key: &PackedKey) -> Option<PackedFile> {
        let path = self.path.join(key.file_name());
        let found = PackedFile::open(&path).filter(|file| file.key() == key)?;
        // The file that was used last goes last. If that cannot be noted, nothing is lost.
        let _ = File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        Some(found)
    }

    /// Writes a checkpoint's matrices, in place of those that were used longest ago where
    /// there are too many; `on_bytes` is told of each part that was written.
    pub fn keep(
        &self,
        key: &PackedKey,
        matrices: &[(String, PackedMatrix)],
        on_bytes: &mut dyn FnMut(u64),
    ) -> io::Result<Outcome> {
        let bytes: u64 = matrices.iter().map(|(_, m)| m.bytes() as u64).sum();
        if bytes > self.bytes_max {
            return Ok(Outcome::NoRoom);
        }
        fs::create_dir_all(&self.path)?;
        self.remove_unfinished();
        self.make_room(self.bytes_max - bytes);
        if !self.disk_has(bytes)? {
            return Ok(Outcome::NoRoom);
        }
        let mut unfinished = tempfile::Builder::new();
        // As readable as the model is.
        #[cfg(unix)]
        unfinished.permissions(fs::metadata(key.path())?.permissions());
        let suffix = format!(".{UNFINISHED}");
        let mut unfinished = unfinished.suffix(&suffix).tempfile_in(&self.path)?;
        // As long as it is locked somebody writes it.
        unfinished.as_file().lock()?;
        PackedFile::write(unfinished.as_file_mut(), key, matrices, on_bytes)?;
        if !key.holds() {
            return Ok(Outcome::Changed);
        }
        unfinished.persist(self.path.join(key.file_name()))?;
        Ok(Outcome::Written)
    }

    /// Removes what is damaged, what belongs to no checkpoint as it is now, and with `all`
    /// the rest. Cost: reads all files.
    pub fn prune(&self, all: bool) -> io::Result<Pruned> {
        self.remove_unfinished();
        let (mut kept, mut removed) = (Vec::new(), Vec::new());
        for (path, bytes) in self.files() {
            let file = PackedFile::open(&path);
            let reason = match &file {
                None => Some("it is damaged"),
                Some(file) if !file.key().path().exists() => Some("its model is gone"),
                Some(file) if !file.key().holds() => Some("its model was changed"),
                Some(file) if file.damaged().is_some() => Some("it is damaged"),
                Some(_) if all => Some("all were to go"),
                Some(_) => None,
            };
            match (reason, file) {
                (Some(reason), _) => {
                    fs::remove_file(&path)?;
                    removed.push(Removed {
                        path,
                        bytes,
                        reason,
                    });
                }
                (None, file) => kept.extend(file.map(|file| Kept {
                    path,
                    of: file.key().path().to_owned(),
                    bytes,
                })),
            }
        }
        Ok(Pruned { kept, removed })
    }

    /// Removes files until the rest is of `bytes_max`: first those of no checkpoint as it is
    /// now, then those that were used longest ago.
    fn make_room(&self, bytes_max: u64) {
        let used = |path: &Path| fs::metadata(path).and_then(|m| m.modified()).ok();
        let holds = |path: &Path| PackedFile::open(path).is_some_and(|file| file.key().holds());
        let mut files: Vec<_> = self.files().collect();
        files.sort_by_cached_key(|(path, _)| (holds(path), used(path)));
        let mut all: u64 = files.iter().map(|(_, bytes)| bytes).sum();
        for (path, bytes) in files {
            if all <= bytes_max && holds(&path) {
                break;
            }
            if fs::remove_file(&path).is_ok() {
                all -= bytes;
            }
        }
    }

    /// Removes what a process left that was ended while it wrote.
    fn remove_unfinished(&self) {
        for (path, _) in self.files_ending(UNFINISHED) {
            if File::open(&path).is_ok_and(|file| file.try_lock().is_ok()) {
                // If another process was faster, it is gone.
                let _ = fs::remove_file(path);
            }
        }
    }

    fn files(&self) -> impl Iterator<Item = (PathBuf, u64)> {
        self.files_ending(ENDING)
    }

    /// Files of an ending, and their bytes; none where there is no folder.
    fn files_ending(&self, ending: &str) -> impl Iterator<Item = (PathBuf, u64)> {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        entries.filter_map(move |entry| {
            let path = entry.path();
            let is_one = path.extension().is_some_and(|e| e == ending);
            let bytes = entry.metadata().ok()?.len();
            is_one.then_some((path, bytes))
        })
    }

    /// True where the disk would have a part free behind so many bytes.
    fn disk_has(&self, bytes: u64) -> io::Result<bool> {
        #[cfg(unix)]
        {
            let disk = nix::sys::statvfs::statvfs(&self.path)?;
            let block = disk.fragment_size() as u64;
            let free = disk.blocks_available() as u64 * block;
            let spare = disk.blocks() as u64 * block / FREE_PART;
            Ok(free > bytes + spare)
        }
        #[cfg(not(unix))]
        Ok(true)
    }
}
