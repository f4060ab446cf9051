//! Weights as a CPU's kernels want them, kept in files beside the models.
//!
//! Packing a file of weights reads all of it and takes memory of the same size. What comes
//! out is written once ([`Keeper`]) and mapped from then on ([`PackedFile`]): a model is
//! ready as soon as its file is found, its weights lie in memory once, and processes share
//! them. A file belongs to one checkpoint in one state ([`PackedKey`]): path, size, time and
//! header. If any of these is another, or the layouts are, it is packed anew.
mod file;
mod folder;
mod key;
#[cfg(test)]
mod tests;

pub(super) use file::PackedFile;
pub use folder::{Outcome, PackedFolder, Pruned};
pub(super) use key::PackedKey;

use egss_kernels::PackedMatrix;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// The packed weights of a checkpoint: there, or to be written.
pub(super) enum Packed {
    /// Its matrices, packed before.
    Found(PackedFile),
    /// Nothing yet: what is packed is gathered.
    Gathered(Keeper),
}

/// Matrices that are to be kept, until all of them are there.
pub(super) struct Keeper {
    folder: PackedFolder,
    key: PackedKey,
    matrices: Mutex<Vec<(String, PackedMatrix)>>,
}

impl Keeper {
    pub(super) fn new(folder: PackedFolder, key: PackedKey) -> Self {
        Self {
            folder,
            key,
            matrices: Mutex::default(),
        }
    }

    /// Takes a matrix, whose memory is shared.
    pub(super) fn take(&self, name: &str, matrix: &PackedMatrix) {
        let mut matrices = self.matrices.lock().unwrap_or_else(PoisonError::into_inner);
        matrices.push((name.to_owned(), matrix.clone()));
    }

    /// Writes what was taken, on a thread of its own; `None` where nothing was.
    pub(super) fn write(&self) -> Option<Keeping> {
        let mut matrices = self.matrices.lock().unwrap_or_else(PoisonError::into_inner);
        let matrices = std::mem::take(&mut *matrices);
        let bytes_total: u64 = matrices.iter().map(|(_, m)| m.bytes() as u64).sum();
        if matrices.is_empty() {
            return None;
        }
        let (folder, key) = (self.folder.clone(), self.key.clone());
        let bytes_done = Arc::new(AtomicU64::new(0));
        let counter = bytes_done.clone();
        let writer = thread::spawn(move || {
            folder.keep(&key, &matrices, &mut |bytes| {
                counter.fetch_add(bytes, Ordering::Relaxed);
            })
        });
        Some(Keeping {
            writer,
            bytes_done,
            bytes_total,
        })
    }
}

/// Packed weights on their way to the disk. Whoever ends the process before they are there
/// has them packed again at the next start.
pub struct Keeping {
    writer: JoinHandle<io::Result<Outcome>>,
    bytes_done: Arc<AtomicU64>,
    bytes_total: u64,
}

impl Keeping {
    /// True once they are there, or there is no room for them.
    pub fn is_finished(&self) -> bool {
        self.writer.is_finished()
    }

    /// Bytes written so far, and in all.
    pub fn progress(&self) -> (u64, u64) {
        (self.bytes_done.load(Ordering::Relaxed), self.bytes_total)
    }

    /// Waits for them.
    pub fn wait(self) -> io::Result<Outcome> {
        let panicked = |panic| std::panic::resume_unwind(panic);
        self.writer.join().unwrap_or_else(panicked)
    }
}
