//! Files that an install leaves in the repository: compiled extensions, metadata, generated
//! modules.
use super::super::{WorkspaceError, put_file, walk};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Setuptools keeps objects between builds here; the results are copied out of it.
const SCRATCH_DIR: &str = "build";

/// The files of a tree before an install.
pub(super) struct Inventory(HashMap<Vec<u8>, Stamp>);

/// Differs wherever a file was written or put in another's place.
type Stamp = (u64, i64, i64, u64);

impl Inventory {
    pub fn of(tree: &Path) -> Result<Self, WorkspaceError> {
        let files = walk::files(tree)?;
        let stamped = files.into_iter().map(|path| {
            let stamp = stamp(&tree.join(OsStr::from_bytes(&path)))?;
            Ok((path, stamp))
        });
        Ok(Self(stamped.collect::<Result<_, WorkspaceError>>()?))
    }

    /// Paths below `tree` of files that are new since, or were changed.
    pub fn changed_in(&self, tree: &Path) -> Result<Vec<PathBuf>, WorkspaceError> {
        let had_scratch = self.0.keys().any(|path| is_scratch(path));
        let mut changed = Vec::new();
        for path in walk::files(tree)? {
            let relative = Path::new(OsStr::from_bytes(&path));
            let is_known = self.0.get(&path) == Some(&stamp(&tree.join(relative))?);
            if !is_known && (had_scratch || !is_scratch(&path)) {
                changed.push(relative.to_owned());
            }
        }
        Ok(changed)
    }
}

fn is_scratch(path: &[u8]) -> bool {
    Path::new(OsStr::from_bytes(path)).starts_with(SCRATCH_DIR)
}

fn stamp(path: &Path) -> Result<Stamp, WorkspaceError> {
    let meta = path
        .symlink_metadata()
        .map_err(|source| WorkspaceError::io("read", path, source))?;
    Ok((meta.len(), meta.mtime(), meta.mtime_nsec(), meta.ino()))
}

/// Copies `files` (paths below `from`) to the same paths below `to`.
pub(super) fn copy_files(from: &Path, to: &Path, files: &[PathBuf]) -> Result<(), WorkspaceError> {
    std::fs::create_dir_all(to).map_err(|e| WorkspaceError::io("make the folder", to, e))?;
    for file in files {
        put_file(&from.join(file), to, file)?;
    }
    Ok(())
}

/// Every file below `dir`; none where it is not there.
pub(super) fn all_files(dir: &Path) -> Result<Vec<PathBuf>, WorkspaceError> {
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let files = walk::files(dir)?;
    let paths = files
        .iter()
        .map(|path| PathBuf::from(OsStr::from_bytes(path)));
    Ok(paths.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_install_leaves_is_found_and_put_into_another_copy() {
        let (tree, kept, copy) = (
            tempfile::tempdir().unwrap(),
            tempfile::tempdir().unwrap(),
            tempfile::tempdir().unwrap(),
        );
        let write = |path: &str, text: &str| {
            let file = tree.path().join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        };
        write("setup.py", "a");
        write("pkg/m.py", "b");
        let before = Inventory::of(tree.path()).unwrap();
        assert!(before.changed_in(tree.path()).unwrap().is_empty());
        std::fs::remove_file(tree.path().join("setup.py")).unwrap();
        write("setup.py", "c");
        write("pkg/fast.so", "d");
        write("pkg/__pycache__/m.pyc", "e");
        write("build/temp/fast.o", "f");
        let changed = before.changed_in(tree.path()).unwrap();
        assert_eq!(changed, ["pkg/fast.so", "setup.py"].map(PathBuf::from));
        copy_files(tree.path(), kept.path(), &changed).unwrap();
        assert_eq!(all_files(kept.path()).unwrap(), changed);
        copy_files(kept.path(), copy.path(), &changed).unwrap();
        let text = std::fs::read_to_string(copy.path().join("pkg/fast.so")).unwrap();
        assert_eq!(text, "d");
    }
}
