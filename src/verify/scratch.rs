//! Copies of trees that tests run in: folders that are used again, so that a copy costs
//! as much as the last tree in its folder differs.
use super::VerifyError;
use crate::workspace::{Shadow, TreeId};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A folder for copies of trees. One serves every thread of a run.
pub struct Scratch {
    dir: PathBuf,
    /// Copies that nobody holds, each with the tree that was last restored in it.
    idle: Mutex<Vec<(PathBuf, TreeId)>>,
}

/// A tree's files in a folder of their own, until it is dropped. Tests may leave there
/// what they like.
pub struct TreeCopy<'a> {
    scratch: &'a Scratch,
    path: PathBuf,
    tree: TreeId,
}

impl Scratch {
    /// Copies are made in `dir`, a folder that exists and is absolute; whoever made it
    /// removes it.
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            idle: Mutex::default(),
        }
    }

    /// A copy of `tree`. Cost: one `lstat` for each file, and the files written that differ
    /// from those of an idle copy, of the same tree if there is one.
    pub fn copy(&self, shadow: &Shadow, tree: &TreeId) -> Result<TreeCopy<'_>, VerifyError> {
        let idle = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            let same = idle.iter().position(|(_, held)| held == tree);
            let at = same.or(idle.len().checked_sub(1));
            at.map(|at| idle.swap_remove(at).0)
        };
        let path = match idle {
            Some(path) => path,
            None => self.folder()?.keep(),
        };
        shadow.restore(tree, &path)?;
        Ok(TreeCopy {
            scratch: self,
            path,
            tree: tree.clone(),
        })
    }

    /// An empty folder there.
    pub(super) fn folder(&self) -> Result<tempfile::TempDir, VerifyError> {
        tempfile::Builder::new()
            .prefix("tree-")
            .tempdir_in(&self.dir)
            .map_err(|source| VerifyError::io("make a folder in", &self.dir, source))
    }
}

impl TreeCopy<'_> {
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TreeCopy<'_> {
    fn drop(&mut self) {
        let idle = self.scratch.idle.lock();
        let mut idle = idle.unwrap_or_else(PoisonError::into_inner);
        idle.push((std::mem::take(&mut self.path), self.tree.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_used_again_and_holds_nothing_of_the_run_before() {
        let dir = tempfile::tempdir().unwrap();
        let shadow = Shadow::open(&dir.path().join("shadow")).unwrap();
        let (source, copies) = (dir.path().join("source"), dir.path().join("copies"));
        std::fs::create_dir(&source).unwrap();
        std::fs::create_dir(&copies).unwrap();
        std::fs::write(source.join("a.py"), "A = 1\n").unwrap();
        let first = shadow.snapshot(&source).unwrap();
        std::fs::write(source.join("a.py"), "A = 2\n").unwrap();
        let second = shadow.snapshot(&source).unwrap();
        let scratch = Scratch::new(&copies);
        let text = |copy: &TreeCopy| std::fs::read_to_string(copy.path().join("a.py")).unwrap();
        let (of_first, of_second) = {
            let a = scratch.copy(&shadow, &first).unwrap();
            let b = scratch.copy(&shadow, &second).unwrap();
            assert_ne!(a.path(), b.path());
            assert_eq!((text(&a), text(&b)), ("A = 1\n".into(), "A = 2\n".into()));
            // A test that writes where it should not, and one that leaves a cache.
            std::fs::write(a.path().join("a.py"), "A = 9\n").unwrap();
            std::fs::create_dir_all(a.path().join("x/__pycache__")).unwrap();
            (a.path().to_owned(), b.path().to_owned())
        };
        let again = scratch.copy(&shadow, &first).unwrap();
        assert_eq!(again.path(), of_first);
        assert_eq!(text(&again), "A = 1\n");
        assert!(!again.path().join("x").exists());
        let other = scratch.copy(&shadow, &first).unwrap();
        assert_eq!(
            (other.path(), text(&other)),
            (of_second.as_path(), "A = 1\n".into())
        );
        assert_eq!(std::fs::read_dir(&copies).unwrap().count(), 2);
    }
}
