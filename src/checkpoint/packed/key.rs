//! Which state of which checkpoint a file of packed weights belongs to.
use crate::checkpoint::hub::sha256_hex;
use egss_kernels::PackedMatrix;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// A checkpoint's files, each in one state, and the layouts that they were packed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackedKey {
    files: Vec<FileState>,
    /// SHA-256 of the first file up to its first tensor.
    header: String,
    /// [`PackedMatrix::LAYOUT`]
    layout: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct FileState {
    path: PathBuf,
    bytes: u64,
    /// Since 1970, nanoseconds.
    modified: u128,
}

impl FileState {
    fn of(path: &Path) -> io::Result<Self> {
        let path = fs::canonicalize(path)?;
        let metadata = fs::metadata(&path)?;
        let modified = metadata.modified()?.duration_since(UNIX_EPOCH);
        Ok(Self {
            bytes: metadata.len(),
            modified: modified.map_or(0, |since| since.as_nanos()),
            path,
        })
    }
}

impl PackedKey {
    /// Of files as they are now, `header` being the first one's.
    pub fn of<'a>(files: impl Iterator<Item = &'a Path>, header: &[u8]) -> io::Result<Self> {
        Ok(Self {
            files: files.map(FileState::of).collect::<io::Result<_>>()?,
            header: sha256_hex(header),
            layout: PackedMatrix::LAYOUT,
        })
    }

    /// The first of the checkpoint's files.
    pub fn path(&self) -> &Path {
        &self.files[0].path
    }

    /// True where the checkpoint's files are still what they were, and so are the layouts.
    pub fn holds(&self) -> bool {
        let same = |file: &FileState| FileState::of(&file.path).is_ok_and(|now| now == *file);
        self.layout == PackedMatrix::LAYOUT && self.files.iter().all(same)
    }

    /// Name of the file of packed weights: the checkpoint's, and a digest of the key.
    pub(super) fn file_name(&self) -> String {
        let json = serde_json::to_vec(self).expect("paths, numbers and text");
        let stem = self.path().file_stem().unwrap_or_default();
        let digest = &sha256_hex(&json)[..16];
        format!("{}-{digest}.packed", stem.to_string_lossy())
    }
}
