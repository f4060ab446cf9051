//! Copying a file into a tree that may hold anything, and a whole tree into an empty folder.
use super::WorkspaceError;
use rayon::prelude::*;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// Puts a copy of `source` (a file or a link) at `root/path`, whatever stands there. Nothing
/// outside `root` is touched, even if the tree has a link where the path has a folder.
/// Panics if `path` is empty.
pub fn put_file(source: &Path, root: &Path, path: &Path) -> Result<(), WorkspaceError> {
    let fail = WorkspaceError::io;
    let mut at = root.to_owned();
    let pieces: Vec<Component<'_>> = path.components().collect();
    let (_, folders) = pieces.split_last().expect("a file's path is not empty");
    for folder in folders {
        at.push(folder);
        match fs::symlink_metadata(&at) {
            Ok(meta) if meta.is_dir() => continue,
            Ok(_) => fs::remove_file(&at).map_err(|e| fail("remove", &at, e))?,
            Err(_) => {}
        }
        fs::create_dir(&at).map_err(|e| fail("make", &at, e))?;
    }
    let target = root.join(path);
    match fs::symlink_metadata(&target) {
        Ok(meta) if meta.is_dir() => {
            fs::remove_dir_all(&target).map_err(|e| fail("remove", &target, e))?;
        }
        Ok(_) => fs::remove_file(&target).map_err(|e| fail("remove", &target, e))?,
        Err(_) => {}
    }
    let copied = match fs::read_link(source) {
        Ok(link) => std::os::unix::fs::symlink(link, &target),
        Err(_) => fs::copy(source, &target).map(drop),
    };
    copied.map_err(|e| fail("write", &target, e))
}

/// Copies the files, links and folders of `from` into `to`, an empty folder, side by side. On a
/// file system that shares blocks between files (Btrfs, XFS) none is written.
///
/// Errors: a file that cannot be read or written; what was copied by then stays.
pub(super) fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    let mut files: Vec<PathBuf> = Vec::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(from.join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            match entry.file_type()?.is_dir() {
                true => {
                    fs::create_dir(to.join(&path))?;
                    waiting.push(path);
                }
                false => files.push(path),
            }
        }
    }
    files.par_iter().try_for_each(|path| {
        let (source, target) = (from.join(path), to.join(path));
        match fs::read_link(&source) {
            Ok(link) => std::os::unix::fs::symlink(link, target),
            Err(_) => fs::copy(source, target).map(drop),
        }
    })
}
