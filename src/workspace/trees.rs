//! Reading the trees of a shadow directory: their files, and how two of them differ.
use super::nul::split_nul;
use super::{Shadow, TreeId, WorkspaceError, git};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

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

/// Paths that a git command is given by name.
const NAMED_PATHS_MAX: usize = 500;

impl Shadow {
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
    /// in the patch begin with `prefix` (see [`repository_prefix`](super::repository_prefix)). Without
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
        let mut git = git::bare(self.git_dir());
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

    pub(super) fn diff_tree(
        &self,
        from: &TreeId,
        to: &TreeId,
        options: &[&str],
        paths: &[OsString],
        as_binary: bool,
    ) -> Result<Vec<u8>, WorkspaceError> {
        let mut git = git::bare(self.git_dir());
        if as_binary {
            git.arg("-c").arg(git::all_binary(self.git_dir()));
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

    /// Paths of all files of a tree, relative to its root, sorted. Bytes of a
    /// name that are not UTF-8 become U+FFFD.
    pub fn files(&self, tree: &TreeId) -> Result<Vec<String>, WorkspaceError> {
        self.check(tree)?;
        let mut git = git::bare(self.git_dir());
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
        let mut git = git::bare(self.git_dir());
        git.args(["ls-tree", "-r", "-l", "-z", &tree.0, "--"]);
        // A command line has an end: of many more all are read.
        if paths.len() <= NAMED_PATHS_MAX {
            git.args(paths);
        }
        let listed = self.run(git, "ls-tree", &[])?;
        let entries: Vec<TreeEntry> = split_nul(&listed).filter_map(TreeEntry::parse).collect();
        let is_read = |entry: &&TreeEntry| entry.bytes <= bytes_max;
        let wanted: Vec<&str> = entries.iter().filter(is_read).map(|e| e.id).collect();
        let mut git = git::bare(self.git_dir());
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
