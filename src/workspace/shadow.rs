//! The shadow git directory: a tree id a step gives fork, diff and restore. Its trees are read
//! in `trees.rs`.
use super::index_file::{Index, folder_key};
use super::large::{beside, large_data};
use super::layers::Layers;
use super::nul::{join_nul, split_nul};
use super::{LeftOut, TreeId, WorkspaceError, existing_dir, git, walk};
use crate::record::LargeData;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// New files from which on a snapshot writes one pack instead of a file for each object.
/// 20,000 objects took 5 s in a pack and 18 s in files of their own (ext4 on a virtual
/// disk); a pack for each small snapshot would make many packs, which slows every later
/// look-up.
const PACKED_FILES_MIN: usize = 1_000;

/// A git directory outside the repository whose index takes every file.
///
/// Calls on different directories may run at the same time, from any thread.
/// Kept: bytes, the executable bit, links as links. Not kept, as git has no
/// place for them: empty directories, other permissions, owners, times.
pub struct Shadow {
    git_dir: PathBuf,
    /// Paths relative to a workspace that no snapshot takes, and no restore touches.
    without: Vec<PathBuf>,
    layers: Option<Layers>,
}

/// A repository as it was found.
pub struct Snapshot {
    pub tree: TreeId,
    /// Passed over because it may not be read.
    pub left_out: Vec<LeftOut>,
    /// Passed over because it is large, and git ignores it.
    pub large_data: Vec<LargeData>,
}

impl Shadow {
    /// Opens the shadow directory at `git_dir`, making it if it is not there.
    ///
    /// Errors: git is not installed, the directory cannot be written.
    pub fn open(git_dir: &Path) -> Result<Self, WorkspaceError> {
        git::create_private_dir(git_dir)?;
        // Absolute, because git is started elsewhere.
        let git_dir = git_dir
            .canonicalize()
            .map_err(|source| WorkspaceError::io("open", git_dir, source))?;
        git::init(&git_dir)?;
        for dir in ["indices", "restored"] {
            git::create_private_dir(&git_dir.join(dir))?;
        }
        Ok(Self {
            git_dir,
            without: Vec::new(),
            layers: None,
        })
    }

    /// The same for workspaces of a repository with such data: it is in no tree.
    #[must_use]
    pub fn beside(mut self, large_data: &[LargeData]) -> Self {
        self.without = large_data
            .iter()
            .map(|data| PathBuf::from(&data.path))
            .collect();
        self
    }

    /// The same with workspaces below `work` as layers over one copy of `base`, where the kernel
    /// can (after [`enter_namespace`](super::enter_namespace)); else they are copies. Of the data
    /// beside the base, in the repository `repo`, what the layers cannot hold is given back.
    pub fn in_layers(
        mut self,
        base: &TreeId,
        work: &Path,
        repo: &Path,
        large_data: &[LargeData],
    ) -> (Self, Vec<LargeData>) {
        let Ok(layers) = Layers::make(base, work, |dir| self.restore(base, dir)) else {
            return (self, large_data.to_vec());
        };
        let left = layers.link_data(repo, large_data);
        self.layers = Some(layers);
        (self, left)
    }

    /// Removes a workspace that [`Self::restore`] made.
    pub fn discard(&self, dir: &Path) {
        match self.layers.as_ref().filter(|layers| layers.is_mounted(dir)) {
            Some(layers) => layers.discard(dir),
            None => {
                std::fs::remove_dir_all(dir).ok();
            }
        }
    }

    pub(super) fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// The tree of `dir` as it stands: tracked, untracked and ignored files
    /// alike; the repository's own `.git` and caches (`__pycache__`, ...) left
    /// out, virtual environments too. Only reads `dir`.
    ///
    /// Cost: one `lstat` a file and four git processes; only files that
    /// changed since the last call on the same `dir` are read.
    pub fn snapshot(&self, dir: &Path) -> Result<TreeId, WorkspaceError> {
        let dir = existing_dir(dir)?;
        if let Some(layers) = self.layers.as_ref().filter(|l| l.is_mounted(&dir)) {
            return self.tree_of_layers(layers, &dir);
        }
        self.tree_of(&dir, &walk::files_beside(&dir, &self.without)?)
    }

    /// The tree of a workspace that lies over the base, by what it changes.
    fn tree_of_layers(&self, layers: &Layers, dir: &Path) -> Result<TreeId, WorkspaceError> {
        let changed = layers.changes(dir, &self.without)?;
        if changed.written.is_empty() && changed.gone.is_empty() {
            return Ok(layers.base_tree().clone());
        }
        let index = Index::empty(&self.git_dir, dir);
        let git = index.git(&["read-tree", &layers.base_tree().0]);
        self.run(git, "read-tree", &[])?;
        for (paths, options) in [
            (&changed.gone, &["--force-remove"][..]),
            (&changed.written, &["--add", "--remove"][..]),
        ] {
            if !paths.is_empty() {
                let mut git = index.git(&["update-index"]);
                git.args(options).args(["-z", "--stdin"]);
                self.run(git, "update-index", &join_nul(paths))?;
            }
        }
        self.written(&index)
    }

    /// [`Self::snapshot`] of the user's repository, without data that is too large to be copied
    /// for every branch.
    pub fn snapshot_repository(&self, dir: &Path) -> Result<Snapshot, WorkspaceError> {
        let dir = existing_dir(dir)?;
        let walked = walk::walk(&dir, &self.without)?;
        let large_data = large_data(&dir, &walked.files);
        let files = beside(walked.files, &large_data);
        Ok(Snapshot {
            tree: self.tree_of(&dir, &files)?,
            left_out: walked.left_out,
            large_data,
        })
    }

    /// `tree` with the files of `folder` in it, over its own.
    pub(super) fn overlaid(&self, tree: &TreeId, folder: &Path) -> Result<TreeId, WorkspaceError> {
        let folder = existing_dir(folder)?;
        let files = walk::files(&folder)?;
        let index = Index::empty(&self.git_dir, &folder);
        self.run(index.git(&["read-tree", &tree.0]), "read-tree", &[])?;
        let git = index.git(&["update-index", "--add", "--replace", "-z", "--stdin"]);
        self.run(git, "update-index", &join_nul(&files))?;
        self.written(&index)
    }

    /// The tree of what an index holds.
    fn written(&self, index: &Index) -> Result<TreeId, WorkspaceError> {
        let tree = self.run(index.git(&["write-tree"]), "write-tree", &[])?;
        Ok(TreeId(String::from_utf8_lossy(&tree).trim().to_owned()))
    }

    fn tree_of(&self, dir: &Path, files: &[Vec<u8>]) -> Result<TreeId, WorkspaceError> {
        let index = Index::take(&self.git_dir, dir)?;
        let index = match self.stage(dir, files, &index) {
            Ok(()) => index,
            // An index that a power cut left half written is only a cache.
            Err(WorkspaceError::Git { .. }) if index.had_entries => {
                let fresh = Index::empty(&self.git_dir, dir);
                self.stage(dir, files, &fresh)?;
                fresh
            }
            Err(error) => return Err(error),
        };
        let tree = self.written(&index)?;
        index.keep()?;
        Ok(tree)
    }

    /// Makes the index hold exactly `files` as they are on disk.
    fn stage(&self, dir: &Path, files: &[Vec<u8>], index: &Index) -> Result<(), WorkspaceError> {
        let known = self.run(index.git(&["ls-files", "-z"]), "ls-files", &[])?;
        let gone: Vec<&[u8]> = split_nul(&known)
            .filter(|path| {
                files
                    .binary_search_by(|file| file.as_slice().cmp(path))
                    .is_err()
            })
            .collect();
        if !gone.is_empty() {
            let git = index.git(&["update-index", "--force-remove", "-z", "--stdin"]);
            self.run(git, "update-index", &join_nul(&gone))?;
        }
        // `--remove`: a file that vanished since the walk is no error.
        let mut git = index.git(&[]);
        let n_new = files.len().saturating_sub(split_nul(&known).count());
        if n_new >= PACKED_FILES_MIN && git::packs_what_it_adds(&self.git_dir)? {
            git.args(git::INTO_ONE_PACK);
        }
        git.args(["update-index", "--add", "--remove", "-z", "--stdin"]);
        self.run(git, "update-index", &join_nul(files))
            .map_err(|error| match error {
                WorkspaceError::Git { stderr, .. } => WorkspaceError::Git {
                    what: format!("snapshot of {}", dir.display()),
                    stderr,
                },
                other => other,
            })?;
        Ok(())
    }

    /// Makes `dir` hold exactly `tree`: the fork, and the restore. What is in
    /// `dir` beside it goes, caches included.
    ///
    /// `dir` is made if it is not there. Only files that differ are written.
    /// Errors: `NoTree`; `NotAWorkspace` for a git checkout that this shadow
    /// directory has not restored to before (the user's must never be written).
    pub fn restore(&self, tree: &TreeId, dir: &Path) -> Result<(), WorkspaceError> {
        self.check(tree)?;
        if !dir.exists() {
            git::create_private_dir(dir)?;
        }
        let dir = existing_dir(dir)?;
        if let Some(layers) = self.layers.as_ref().filter(|l| l.covers(&dir)) {
            return self.lay(layers, tree, &dir);
        }
        let mark = self.git_dir.join("restored").join(folder_key(&dir));
        if !mark.exists() {
            if dir.join(".git").symlink_metadata().is_ok() {
                return Err(WorkspaceError::NotAWorkspace(dir));
            }
            std::fs::write(&mark, dir.as_os_str().as_bytes())
                .map_err(|source| WorkspaceError::io("write", &mark, source))?;
        }
        let index = Index::take(&self.git_dir, &dir)?;
        let index = match self.check_out(tree, &dir, &index) {
            Ok(()) => index,
            Err(WorkspaceError::Git { .. }) if index.had_entries => {
                let fresh = Index::empty(&self.git_dir, &dir);
                self.check_out(tree, &dir, &fresh)?;
                fresh
            }
            Err(error) => return Err(error),
        };
        index.keep()
    }

    /// Lays `tree` over the base at `dir`: what differs is written.
    fn lay(&self, layers: &Layers, tree: &TreeId, dir: &Path) -> Result<(), WorkspaceError> {
        layers.mount(dir)?;
        if tree == layers.base_tree() {
            return Ok(());
        }
        let listed = self.diff_tree(
            layers.base_tree(),
            tree,
            &["--name-status", "-z"],
            &[],
            false,
        )?;
        let mut words = split_nul(&listed);
        let (mut gone, mut written) = (Vec::new(), Vec::new());
        while let (Some(status), Some(path)) = (words.next(), words.next()) {
            match status {
                b"D" => gone.push(path),
                _ => written.push(path),
            }
        }
        for path in gone {
            let file = dir.join(Path::new(std::ffi::OsStr::from_bytes(path)));
            std::fs::remove_file(&file)
                .map_err(|source| WorkspaceError::io("remove", &file, source))?;
            // A tree has no empty folders.
            let mut above = file.parent();
            while let Some(folder) = above.filter(|folder| *folder != dir) {
                if std::fs::remove_dir(folder).is_err() {
                    break;
                }
                above = folder.parent();
            }
        }
        match written.is_empty() {
            true => Ok(()),
            false => self.check_out_files(tree, &written, dir),
        }
    }

    fn check_out(&self, tree: &TreeId, dir: &Path, index: &Index) -> Result<(), WorkspaceError> {
        // Entries that are the same in index and tree keep what is known of
        // the file on disk, so that checkout-index passes over it.
        let git = index.git(&["read-tree", "--reset", &tree.0]);
        self.run(git, "read-tree", &[])?;
        let listed = self.run(index.git(&["ls-files", "-z"]), "ls-files", &[])?;
        walk::prune(dir, &split_nul(&listed).collect::<Vec<_>>(), &self.without)?;
        let git = index.git(&["checkout-index", "--all", "--force", "--index", "--quiet"]);
        self.run(git, "checkout-index", &[])?;
        Ok(())
    }

    /// Writes `paths` of a tree, as they are, below `folder`; what else is there stays.
    pub fn check_out_files(
        &self,
        tree: &TreeId,
        paths: &[impl AsRef<[u8]>],
        folder: &Path,
    ) -> Result<(), WorkspaceError> {
        let index = Index::empty(&self.git_dir, folder);
        self.run(index.git(&["read-tree", &tree.0]), "read-tree", &[])?;
        let git = index.git(&["checkout-index", "--force", "-z", "--stdin"]);
        self.run(git, "checkout-index", &join_nul(paths))?;
        Ok(())
    }

    /// Refuses what is no tree of this shadow directory.
    pub(super) fn check(&self, tree: &TreeId) -> Result<(), WorkspaceError> {
        let missing = || WorkspaceError::NoTree {
            id: tree.0.clone(),
            git_dir: self.git_dir.clone(),
        };
        // A record can be edited: the id must not be taken for an option.
        let is_id =
            matches!(tree.0.len(), 40 | 64) && tree.0.bytes().all(|b| b.is_ascii_hexdigit());
        if !is_id {
            return Err(missing());
        }
        let mut git = git::bare(&self.git_dir);
        git.args(["cat-file", "-e", &format!("{}^{{tree}}", tree.0)]);
        match self.run(git, "cat-file", &[]) {
            Err(WorkspaceError::Git { .. }) => Err(missing()),
            other => other.map(drop),
        }
    }

    pub(super) fn run(
        &self,
        git: Command,
        what: &str,
        stdin: &[u8],
    ) -> Result<Vec<u8>, WorkspaceError> {
        git::run(git, &self.git_dir, what, stdin)
    }
}

/// Where `dir` lies in the git repository around it, with a slash at the end;
/// empty at a repository's top and outside any.
pub fn repository_prefix(dir: &Path) -> Result<String, WorkspaceError> {
    let dir = existing_dir(dir)?;
    let top = dir.ancestors().find(|up| up.join(".git").exists());
    let below = top.and_then(|top| dir.strip_prefix(top).ok());
    Ok(match below {
        Some(path) if !path.as_os_str().is_empty() => format!("{}/", path.display()),
        _ => String::new(),
    })
}
