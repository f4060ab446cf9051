//! Copying a file into a tree that may hold anything.
use super::WorkspaceError;
use std::fs;
use std::path::{Component, Path};

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
