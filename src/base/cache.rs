//! Folders of things that are kept to save time.
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Removes all files of a folder but the `n` that were written, or marked as used, last.
pub fn keep_newest(folder: &Path, n: usize) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut kept: Vec<(SystemTime, PathBuf)> = entries
        .filter_map(|entry| {
            let meta = entry.metadata().ok().filter(|meta| meta.is_file())?;
            Some((meta.modified().ok()?, entry.path()))
        })
        .collect();
    kept.sort();
    for (_, path) in kept.iter().rev().skip(n) {
        std::fs::remove_file(path).ok();
    }
}
