//! Which files a snapshot takes, and how a directory is emptied of the rest.
//!
//! Git's own walk is not used: it would turn a nested repository into a link
//! to a commit and lose the files in it.
use super::WorkspaceError;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{FileType, Permissions};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What marks a directory as a cache (the Cache Directory Tagging
/// Specification): written by cargo into `target`, by pytest, mypy and ruff.
const CACHE_SIGNATURE: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";

/// Caches by name, for tools that do not tag them. Stale ones are worse than
/// none: a `.pyc` is trusted by time and size alone.
const CACHE_DIRS: [&str; 3] = ["__pycache__", ".pytest_cache", ".mypy_cache"];

/// The name of a shadow directory in a run's folder, by which such a folder is known.
pub const SHADOW_DIR: &str = "shadow.git";

/// A folder or a file that a snapshot passes over although it might be wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Relative to the directory.
    pub path: PathBuf,
    /// A clause.
    pub why: String,
}

/// Paths relative to `dir` of every file and link that a snapshot takes,
/// sorted by byte.
///
/// Left out: anything called `.git` (history is not the workspace's, and git
/// refuses the name), caches (they can be made again), and virtual
/// environments (they hold absolute paths and do not work from a copy; the
/// sandbox shows the original), and the folders of egss's own runs.
/// `node_modules` is taken: it works from a copy and cannot be made again
/// offline. Sockets, pipes and devices cannot be kept. Links are taken as
/// links and never followed.
///
/// A folder or a file that may not be read is passed over; `dir` itself has to
/// be readable.
pub(super) fn files(dir: &Path) -> Result<Vec<Vec<u8>>, WorkspaceError> {
    files_beside(dir, &[])
}

/// [`files`] beside those `without` which it is asked, files and folders relative to `dir`.
pub(super) fn files_beside(
    dir: &Path,
    without: &[PathBuf],
) -> Result<Vec<Vec<u8>>, WorkspaceError> {
    let walked = walk(dir, without)?;
    Ok(walked.files.into_iter().map(|file| file.path).collect())
}

/// Paths of a repository's files, as a snapshot of it would take them, and what it would pass
/// over. Bytes of a name that are not UTF-8 become U+FFFD.
pub fn repository_files(dir: &Path) -> Result<(Vec<String>, Vec<LeftOut>), WorkspaceError> {
    let walked = walk(dir, &[])?;
    let names = walked
        .files
        .iter()
        .map(|file| String::from_utf8_lossy(&file.path).into_owned());
    Ok((names.collect(), walked.left_out))
}

/// [`files`] with their sizes, and what was passed over because it may not be read.
pub(super) fn walk(dir: &Path, without: &[PathBuf]) -> Result<Walked, WorkspaceError> {
    let mut walk = Walk {
        without: without
            .iter()
            .map(|path| path.as_os_str().as_bytes())
            .collect(),
        walked: Walked::default(),
    };
    walk.collect(entries(dir)?, b"");
    let mut walked = walk.walked;
    walked.files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    walked.left_out.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(walked)
}

/// A file or a link that a snapshot takes.
pub(super) struct WalkedFile {
    /// Relative to the directory.
    pub path: Vec<u8>,
    /// 0 for a link.
    pub bytes: u64,
}

#[derive(Default)]
pub(super) struct Walked {
    /// Sorted by path, by byte.
    pub files: Vec<WalkedFile>,
    pub left_out: Vec<LeftOut>,
}

struct Walk<'a> {
    without: HashSet<&'a [u8]>,
    walked: Walked,
}

impl Walk<'_> {
    fn collect(&mut self, listed: Vec<Entry>, prefix: &[u8]) {
        for (name, path, kind) in listed {
            let relative = [prefix, &name].concat();
            if name.eq_ignore_ascii_case(b".git") || self.without.contains(relative.as_slice()) {
                continue;
            }
            if kind.is_dir() {
                if is_left_out(&name, &path) {
                    continue;
                }
                match entries(&path) {
                    Ok(below) => {
                        self.collect(below, &[&relative, b"/".as_slice()].concat());
                    }
                    Err(error) => self.leave_out(&relative, &error.to_string()),
                }
            } else if (kind.is_file() || kind.is_symlink()) && !is_bytecode(&name) {
                let bytes = match kind.is_file() {
                    true => readable_bytes(&path),
                    false => Some(0),
                };
                match bytes {
                    None => self.leave_out(&relative, "it may not be read"),
                    Some(bytes) => self.walked.files.push(WalkedFile {
                        path: relative,
                        bytes,
                    }),
                }
            }
        }
    }

    fn leave_out(&mut self, relative: &[u8], why: &str) {
        self.walked.left_out.push(LeftOut {
            path: PathBuf::from(OsStr::from_bytes(relative)),
            why: why.to_owned(),
        });
    }
}

/// A file's size; `None` where it may not be read. Asked of the system, which knows of lists
/// and capabilities beside the mode.
fn readable_bytes(path: &Path) -> Option<u64> {
    match std::fs::File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => None,
        opened => {
            let meta = opened.and_then(|file| file.metadata());
            Some(meta.map_or(0, |meta| meta.len()))
        }
    }
}

pub(super) fn is_bytecode(name: &[u8]) -> bool {
    name.ends_with(b".pyc") || name.ends_with(b".pyo")
}

pub(super) fn is_left_out(name: &[u8], path: &Path) -> bool {
    CACHE_DIRS.iter().any(|cache| cache.as_bytes() == name)
        || path.join("pyvenv.cfg").is_file()
        || path.join(SHADOW_DIR).is_dir()
        || is_tagged_cache(path)
}

fn is_tagged_cache(path: &Path) -> bool {
    let mut start = [0; CACHE_SIGNATURE.len()];
    std::fs::File::open(path.join("CACHEDIR.TAG"))
        .and_then(|mut tag| tag.read_exact(&mut start))
        .is_ok_and(|()| start == CACHE_SIGNATURE)
}

/// Removes everything below `dir` that is not one of `keep` (relative paths of
/// files): other files, directories that hold none of them, and whatever of
/// another kind stands in their place. Files and folders of `without` stay as they are.
pub(super) fn prune(dir: &Path, keep: &[&[u8]], without: &[PathBuf]) -> Result<(), WorkspaceError> {
    let without: HashSet<&[u8]> = without.iter().map(|p| p.as_os_str().as_bytes()).collect();
    let mut dirs: HashSet<&[u8]> = HashSet::new();
    for path in keep.iter().chain(&without) {
        let slashes = (0..path.len()).rev().filter(|&at| path[at] == b'/');
        for at in slashes {
            if !dirs.insert(&path[..at]) {
                break; // the ones above it are there already
            }
        }
    }
    let kept = Kept {
        files: keep.iter().copied().collect(),
        dirs,
        without,
    };
    kept.prune(dir, b"")
}

/// Paths relative to the directory that is pruned.
struct Kept<'a> {
    files: HashSet<&'a [u8]>,
    dirs: HashSet<&'a [u8]>,
    without: HashSet<&'a [u8]>,
}

impl Kept<'_> {
    fn prune(&self, dir: &Path, prefix: &[u8]) -> Result<(), WorkspaceError> {
        make_accessible(dir)?;
        for (name, path, kind) in entries(dir)? {
            let relative = [prefix, &name].concat();
            if self.without.contains(relative.as_slice()) {
                continue;
            }
            if kind.is_dir() {
                if self.dirs.contains(relative.as_slice()) {
                    self.prune(&path, &[&relative, b"/".as_slice()].concat())?;
                } else {
                    remove_tree(&path)?;
                }
            } else if !self.files.contains(relative.as_slice()) {
                std::fs::remove_file(&path)
                    .map_err(|source| WorkspaceError::io("remove", &path, source))?;
            }
        }
        Ok(())
    }
}

/// Removes a directory, those that a command made unwritable included.
pub(super) fn remove_tree(dir: &Path) -> Result<(), WorkspaceError> {
    make_accessible(dir)?;
    for (_, path, kind) in entries(dir)? {
        if kind.is_dir() {
            remove_tree(&path)?;
        } else {
            std::fs::remove_file(&path)
                .map_err(|source| WorkspaceError::io("remove", &path, source))?;
        }
    }
    std::fs::remove_dir(dir).map_err(|source| WorkspaceError::io("remove", dir, source))
}

/// Gives the owner read, write and search permission if one is missing.
fn make_accessible(dir: &Path) -> Result<(), WorkspaceError> {
    let fail = |source| WorkspaceError::io("change permissions of", dir, source);
    let mode = std::fs::symlink_metadata(dir)
        .map_err(fail)?
        .permissions()
        .mode();
    if mode & 0o700 != 0o700 {
        std::fs::set_permissions(dir, Permissions::from_mode(mode | 0o700)).map_err(fail)?;
    }
    Ok(())
}

/// Name, path and kind.
pub(super) type Entry = (Vec<u8>, PathBuf, FileType);

/// Name, path and metadata (of links themselves) of what is in a directory.
/// What vanishes in the meantime is passed over.
pub(super) fn entries(dir: &Path) -> Result<Vec<Entry>, WorkspaceError> {
    let fail = |source| WorkspaceError::io("list", dir, source);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        if let Ok(kind) = entry.file_type() {
            found.push((entry.file_name().as_bytes().to_vec(), entry.path(), kind));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn put(dir: &Path, path: &str, text: &str) {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn names(dir: &Path) -> Vec<String> {
        let files = files(dir).unwrap();
        files
            .into_iter()
            .map(|f| String::from_utf8(f).unwrap())
            .collect()
    }

    #[test]
    fn caches_environments_and_history_are_left_out_and_dependencies_taken() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), "a.py", "");
        put(dir.path(), "a.pyc", "");
        put(dir.path(), ".git/HEAD", "");
        put(dir.path(), "sub/.git", "gitdir: elsewhere");
        put(dir.path(), "sub/b.py", "");
        put(dir.path(), "sub/__pycache__/b.cpython-311.pyc", "");
        put(dir.path(), "env/pyvenv.cfg", "");
        put(dir.path(), "env/lib/c.py", "");
        put(dir.path(), "target/debug/d", "");
        put(
            dir.path(),
            "target/CACHEDIR.TAG",
            "Signature: 8a477f597d28d172789f06886806bc55\n",
        );
        put(dir.path(), "node_modules/m/index.js", "");
        // A directory that is only called like one is the user's own.
        put(dir.path(), "venv/notes.txt", "");
        assert_eq!(
            names(dir.path()),
            [
                "a.py",
                "node_modules/m/index.js",
                "sub/b.py",
                "venv/notes.txt"
            ]
        );
    }

    #[test]
    fn pruning_leaves_exactly_the_named_files_whatever_stands_in_their_place() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), "keep/deep/a", "");
        put(dir.path(), "keep/deep/extra", "");
        put(dir.path(), "locked/inner/b", "");
        put(dir.path(), "file/is/a/directory", "");
        put(dir.path(), "dir", "is a file");
        fs::set_permissions(
            dir.path().join("locked/inner"),
            Permissions::from_mode(0o500),
        )
        .unwrap();
        fs::set_permissions(dir.path().join("locked"), Permissions::from_mode(0o500)).unwrap();
        put(dir.path(), "data/big/image", "");
        let data = [PathBuf::from("data/big")];
        prune(dir.path(), &[b"keep/deep/a", b"file", b"dir/x"], &data).unwrap();
        assert_eq!(names(dir.path()), ["data/big/image", "keep/deep/a"]);
        assert!(!dir.path().join("locked").exists());
        assert!(!dir.path().join("file").exists());
    }
}
