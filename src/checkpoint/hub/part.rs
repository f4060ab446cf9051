//! The beginning of a file that is on its way.
use crate::checkpoint::CheckpointError;
use crate::checkpoint::error::io;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::Path;

/// One pull at a time writes on it.
pub(super) struct Part<'a> {
    pub path: &'a Path,
    file: File,
}

impl<'a> Part<'a> {
    /// Opens or makes it. Errors: `PullUnderWay`, `Io`.
    pub fn open(path: &'a Path) -> Result<Self, CheckpointError> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.map_err(io("open", path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path, file }),
            Err(TryLockError::WouldBlock) => Err(CheckpointError::PullUnderWay {
                path: path.to_owned(),
            }),
            // A file system without locks.
            Err(TryLockError::Error(_)) => Ok(Self { path, file }),
        }
    }

    pub fn bytes(&self) -> Result<u64, CheckpointError> {
        let metadata = self.file.metadata();
        Ok(metadata.map_err(io("read", self.path))?.len())
    }

    /// Leaves the first `bytes` of it.
    pub fn cut(&self, bytes: u64) -> Result<(), CheckpointError> {
        self.file.set_len(bytes).map_err(io("write to", self.path))
    }

    pub fn append(&self, bytes: &[u8]) -> Result<(), CheckpointError> {
        let written = (&self.file).write_all(bytes);
        written.map_err(io("write to", self.path))
    }
}
