//! The shadow git directory: a tree id a step gives fork, diff and restore.
use super::large::{beside, large_data};
use super::layers::Layers;
use super::{LeftOut, WorkspaceError, existing_dir, git, walk};
use crate::record::LargeData;
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

/// The name of a shadow directory in a run's folder, by which such a folder is known.
pub const SHADOW_DIR: &str = "shadow.git";

/// A git tree that holds a workspace's files, ignored and untracked ones too.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TreeId(pub String);

/// A regular file of a tree.
pub struct TreeFile {
    /// Relative to the root, with `/`.
    pub path: String,
    /// `None` where there are more of them than was asked for.
    pub bytes: Option<Vec<u8>>,
}

/// A file or a link that two trees have differently.
pub struct Change {
    pub path: String,
    pub is_in_from: bool,
    pub is_in_to: bool,
}

/// A file's part of a patch.
pub struct FileDiff {
    /// Relative to the trees' root, with `/`.
    pub path: Vec<u8>,
    /// As git shows it, in the file's own encoding; a file with zero bytes as a binary patch.
    pub plain: Vec<u8>,
    /// The same as text, which `git apply` takes as well: a binary patch where `plain` is not UTF-8.
    pub text: String,
}

/// New files from which on a snapshot writes one pack instead of a file for each object.
/// 20,000 objects took 5 s in a pack and 18 s in files of their own (ext4 on a virtual
/// disk); a pack for each small snapshot would make many packs, which slows every later
/// look-up.
const PACKED_FILES_MIN: usize = 1_000;

/// Paths that a git command is given by name.
const NAMED_PATHS_MAX: usize = 500;

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
        let Ok(layers) = Layers::make(&self, base, work) else {
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
        let index = Index::empty(self, dir);
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
        let index = Index::empty(self, &folder);
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
        let index = Index::take(self, dir)?;
        let index = match self.stage(dir, files, &index) {
            Ok(()) => index,
            // An index that a power cut left half written is only a cache.
            Err(WorkspaceError::Git { .. }) if index.had_entries => {
                let fresh = Index::empty(self, dir);
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
            git.args(["-c", git::INTO_ONE_PACK]);
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
        let mark = self.git_dir.join("restored").join(key(&dir));
        if !mark.exists() {
            if dir.join(".git").symlink_metadata().is_ok() {
                return Err(WorkspaceError::NotAWorkspace(dir));
            }
            std::fs::write(&mark, dir.as_os_str().as_bytes())
                .map_err(|source| WorkspaceError::io("write", &mark, source))?;
        }
        let index = Index::take(self, &dir)?;
        let index = match self.check_out(tree, &dir, &index) {
            Ok(()) => index,
            Err(WorkspaceError::Git { .. }) if index.had_entries => {
                let fresh = Index::empty(self, &dir);
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

    /// The patch from one tree to another as `git apply` takes it; empty if equal.
    /// Files whose path relative to the root is in `without` are left out
    /// (a directory's path leaves out all that is in it).
    ///
    /// Text of another encoding than UTF-8 is given as a binary patch, so that
    /// the patch as a whole is text. Files are never shown as renamed.
    pub fn diff(
        &self,
        from: &TreeId,
        to: &TreeId,
        without: &[&str],
    ) -> Result<String, WorkspaceError> {
        self.diff_below("", from, to, without)
    }

    /// [`Self::diff`] for trees that are a folder of a git repository: paths
    /// in the patch begin with `prefix` (see [`repository_prefix`]). Without
    /// it `git apply` would silently pass over every file.
    pub fn diff_below(
        &self,
        prefix: &str,
        from: &TreeId,
        to: &TreeId,
        without: &[&str],
    ) -> Result<String, WorkspaceError> {
        self.check(from)?;
        self.check(to)?;
        let whole = self.patch(prefix, from, to, &all_but(without), false)?;
        if let Ok(text) = String::from_utf8(whole) {
            return Ok(text);
        }
        let files = self.file_diffs(prefix, from, to, without)?;
        Ok(files.into_iter().map(|file| file.text).collect())
    }

    /// The parts of [`Self::diff_below`], one a file. Cost: a git process a file, and one
    /// more for text of another encoding than UTF-8.
    pub fn file_diffs(
        &self,
        prefix: &str,
        from: &TreeId,
        to: &TreeId,
        without: &[&str],
    ) -> Result<Vec<FileDiff>, WorkspaceError> {
        self.check(from)?;
        self.check(to)?;
        let names = ["--name-only", "-z"];
        let changed = self.diff_tree(from, to, &names, &all_but(without), false)?;
        let mut files = Vec::new();
        for path in split_nul(&changed) {
            let only = [OsString::from_vec([b":(top,literal)", path].concat())];
            let plain = self.patch(prefix, from, to, &only, false)?;
            let text = match String::from_utf8(plain.clone()) {
                Ok(text) => text,
                Err(_) => String::from_utf8(self.patch(prefix, from, to, &only, true)?)
                    .expect("a binary patch is ASCII"),
            };
            files.push(FileDiff {
                path: path.to_vec(),
                plain,
                text,
            });
        }
        Ok(files)
    }

    /// The bytes of a file of a tree; `None` where the tree has no such file.
    pub fn bytes_of(&self, tree: &TreeId, path: &[u8]) -> Result<Option<Vec<u8>>, WorkspaceError> {
        self.check(tree)?;
        let mut git = git::bare(&self.git_dir);
        let name = OsString::from_vec([tree.0.as_bytes(), b":", path].concat());
        git.args(["cat-file", "blob"]).arg(name);
        match self.run(git, "cat-file", &[]) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(WorkspaceError::Git { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn patch(
        &self,
        prefix: &str,
        from: &TreeId,
        to: &TreeId,
        paths: &[OsString],
        as_binary: bool,
    ) -> Result<Vec<u8>, WorkspaceError> {
        let (a, b) = (
            format!("--src-prefix=a/{prefix}"),
            format!("--dst-prefix=b/{prefix}"),
        );
        let options = [
            "-p",
            "--binary",
            "--no-color",
            "--no-ext-diff",
            "--no-textconv",
            &a,
            &b,
        ];
        self.diff_tree(from, to, &options, paths, as_binary)
    }

    fn diff_tree(
        &self,
        from: &TreeId,
        to: &TreeId,
        options: &[&str],
        paths: &[OsString],
        as_binary: bool,
    ) -> Result<Vec<u8>, WorkspaceError> {
        let mut git = git::bare(&self.git_dir);
        if as_binary {
            git.arg("-c").arg(git::all_binary(&self.git_dir));
        }
        git.args(["diff-tree", "-r", "--no-renames"]).args(options);
        git.args([&from.0, &to.0, "--"]).args(paths);
        self.run(git, "diff-tree", &[])
    }

    /// The paths that two trees have differently; a name that is not UTF-8 is left out.
    pub fn changes(&self, from: &TreeId, to: &TreeId) -> Result<Vec<Change>, WorkspaceError> {
        self.check(from)?;
        self.check(to)?;
        let listed = self.diff_tree(from, to, &["--name-status", "-z"], &[], false)?;
        let mut words = split_nul(&listed).map(std::str::from_utf8);
        let mut changes = Vec::new();
        while let (Some(status), Some(path)) = (words.next(), words.next()) {
            if let (Ok(status), Ok(path)) = (status, path) {
                changes.push(Change {
                    path: path.to_owned(),
                    is_in_from: status != "A",
                    is_in_to: status != "D",
                });
            }
        }
        Ok(changes)
    }

    /// Writes `paths` of a tree, as they are, below `folder`; what else is there stays.
    pub fn check_out_files(
        &self,
        tree: &TreeId,
        paths: &[impl AsRef<[u8]>],
        folder: &Path,
    ) -> Result<(), WorkspaceError> {
        let index = Index::empty(self, folder);
        self.run(index.git(&["read-tree", &tree.0]), "read-tree", &[])?;
        let git = index.git(&["checkout-index", "--force", "-z", "--stdin"]);
        self.run(git, "checkout-index", &join_nul(paths))?;
        Ok(())
    }

    /// Paths of all files of a tree, relative to its root, sorted. Bytes of a
    /// name that are not UTF-8 become U+FFFD.
    pub fn files(&self, tree: &TreeId) -> Result<Vec<String>, WorkspaceError> {
        self.check(tree)?;
        let mut git = git::bare(&self.git_dir);
        git.args(["ls-tree", "-r", "-z", "--name-only", &tree.0]);
        let listed = self.run(git, "ls-tree", &[])?;
        let mut files: Vec<String> = split_nul(&listed)
            .map(|path| String::from_utf8_lossy(path).into_owned())
            .collect();
        files.sort_unstable();
        Ok(files)
    }

    /// The regular files of a tree at `paths`, or all of them where that is many or none; links,
    /// and names that are not UTF-8, are left out. Nothing is
    /// written, so it costs less than [restoring](Self::restore) the tree to read it.
    pub fn read_files(
        &self,
        tree: &TreeId,
        paths: &[&str],
        bytes_max: u64,
    ) -> Result<Vec<TreeFile>, WorkspaceError> {
        self.check(tree)?;
        let mut git = git::bare(&self.git_dir);
        git.args(["ls-tree", "-r", "-l", "-z", &tree.0, "--"]);
        // A command line has an end: of many more all are read.
        if paths.len() <= NAMED_PATHS_MAX {
            git.args(paths);
        }
        let listed = self.run(git, "ls-tree", &[])?;
        let entries: Vec<TreeEntry> = split_nul(&listed).filter_map(TreeEntry::parse).collect();
        let is_read = |entry: &&TreeEntry| entry.bytes <= bytes_max;
        let wanted: Vec<&str> = entries.iter().filter(is_read).map(|e| e.id).collect();
        let mut git = git::bare(&self.git_dir);
        git.args(["cat-file", "--batch"]);
        let blobs = self.run(git, "cat-file", (wanted.join("\n") + "\n").as_bytes())?;
        // Each is `ID blob BYTES`, a line end, the bytes, a line end.
        let mut left = blobs.as_slice();
        let mut next = || {
            let head = left.iter().position(|&byte| byte == b'\n')?;
            let size = std::str::from_utf8(&left[..head])
                .ok()?
                .rsplit(' ')
                .next()?;
            let (start, end) = (head + 1, head + 1 + size.parse::<usize>().ok()?);
            let blob = left.get(start..end)?.to_vec();
            left = left.get(end + 1..)?;
            Some(blob)
        };
        let mut files = Vec::with_capacity(entries.len());
        for entry in &entries {
            let bytes = match is_read(&entry) {
                true => Some(next().ok_or_else(|| WorkspaceError::Git {
                    what: "cat-file".to_owned(),
                    stderr: format!("no bytes of {}", entry.path),
                })?),
                false => None,
            };
            files.push(TreeFile {
                path: entry.path.to_owned(),
                bytes,
            });
        }
        Ok(files)
    }

    /// Refuses what is no tree of this shadow directory.
    fn check(&self, tree: &TreeId) -> Result<(), WorkspaceError> {
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

    fn run(&self, git: Command, what: &str, stdin: &[u8]) -> Result<Vec<u8>, WorkspaceError> {
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

/// The index file of one directory, out of its place while a call uses it.
///
/// An index tells which files changed by their times. It is renamed and never
/// copied: git compares a file's time with the index's own to see that it
/// cannot tell, and a copy would be too young. A call that fails, or is
/// killed, loses the index, which costs time and nothing else; and no lock
/// file is left that would stop the next one.
struct Index<'a> {
    shadow: &'a Shadow,
    dir: PathBuf,
    home: PathBuf,
    path: PathBuf,
    had_entries: bool,
}

impl<'a> Index<'a> {
    fn take(shadow: &'a Shadow, dir: &Path) -> Result<Self, WorkspaceError> {
        let mut index = Self::empty(shadow, dir);
        match std::fs::rename(&index.home, &index.path) {
            Ok(()) => index.had_entries = true,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(WorkspaceError::io("open", &index.home, source)),
        }
        Ok(index)
    }

    fn empty(shadow: &'a Shadow, dir: &Path) -> Self {
        static CALLS: AtomicU64 = AtomicU64::new(0);
        let indices = shadow.git_dir.join("indices");
        let home = indices.join(key(dir));
        let call = CALLS.fetch_add(1, Ordering::Relaxed);
        let path = indices.join(format!("{}.{}.{call}", key(dir), std::process::id()));
        Self {
            shadow,
            dir: dir.to_owned(),
            home,
            path,
            had_entries: false,
        }
    }

    fn git(&self, args: &[&str]) -> Command {
        let mut git = git::with_files(&self.shadow.git_dir, &self.dir, &self.path);
        git.args(args);
        git
    }

    fn keep(self) -> Result<(), WorkspaceError> {
        match std::fs::rename(&self.path, &self.home) {
            // Git writes no index for no files.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(WorkspaceError::io("keep", &self.home, source)),
            Ok(()) => Ok(()),
        }
    }
}

impl Drop for Index<'_> {
    fn drop(&mut self) {
        // After `keep` there is nothing under this name any more.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A file name that stands for a directory.
fn key(dir: &Path) -> String {
    let digest = Sha256::digest(dir.as_os_str().as_bytes());
    digest.iter().take(16).map(|b| format!("{b:02x}")).collect()
}

/// A regular file of a tree, as `ls-tree -l` lists it.
struct TreeEntry<'a> {
    path: &'a str,
    id: &'a str,
    bytes: u64,
}

impl<'a> TreeEntry<'a> {
    /// Of `100644 blob ID SIZE<tab>PATH`; `None` for a link, or a name that is not UTF-8.
    fn parse(line: &'a [u8]) -> Option<Self> {
        let (facts, path) = std::str::from_utf8(line).ok()?.split_once('\t')?;
        let mut facts = facts.split_ascii_whitespace();
        let (mode, kind) = (facts.next()?, facts.next()?);
        let (id, bytes) = (facts.next()?, facts.next()?.parse().ok()?);
        (kind == "blob" && mode.starts_with("100")).then_some(Self { path, id, bytes })
    }
}

/// Pathspecs of everything but these files and folders.
fn all_but(without: &[&str]) -> Vec<OsString> {
    let mut paths = vec![OsString::from(":(top)")];
    let excluded = without.iter().map(|p| format!(":(top,exclude,literal){p}"));
    paths.extend(excluded.map(OsString::from));
    paths
}

pub(super) fn split_nul(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|&b| b == 0).filter(|path| !path.is_empty())
}

pub(super) fn join_nul<T: AsRef<[u8]>>(paths: &[T]) -> Vec<u8> {
    let mut joined = Vec::new();
    for path in paths {
        joined.extend_from_slice(path.as_ref());
        joined.push(0);
    }
    joined
}
