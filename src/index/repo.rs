//! A repository as an agent can be shown it: its files, read once.
use crate::lang::{self, LangError, Language, Symbol, TextFile};
use crate::workspace::{Shadow, TreeId};
use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

/// Files above this are listed, not read: no source that a person wrote is as long.
pub(crate) const FILE_BYTES_MAX: u64 = 1 << 20;

/// Files that cannot be read of which each has a sentence.
const UNREAD_SHOWN_MAX: usize = 3;

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepoFile {
    /// Relative to the root, with `/`.
    pub path: String,
    /// `None` for a file that is too long or cannot be read as text.
    pub text: Option<Arc<str>>,
}

impl RepoFile {
    /// The language that it is written in.
    pub fn language(&self) -> &'static dyn Language {
        lang::of_path(&self.path)
    }

    /// True for code, as far as it can be read, that no test is.
    pub fn is_source(&self) -> bool {
        self.text.is_some() && self.language().is_code() && !self.is_test()
    }

    /// True for a file that tests or helps tests.
    pub fn is_test(&self) -> bool {
        lang::is_test(&self.path)
    }

    /// Functions and types that it defines, none where it cannot be read.
    pub fn symbols(&self) -> Vec<Symbol> {
        let text = self.text.as_deref().unwrap_or_default();
        self.language().symbols(text)
    }
}

/// The files of a repository, sorted by path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepoView {
    pub files: Vec<RepoFile>,
}

impl RepoView {
    /// A view of these paths and texts.
    pub fn of_texts<'a>(texts: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut files: Vec<RepoFile> = texts
            .map(|(path, text)| RepoFile {
                path: path.to_owned(),
                text: Some(text.into()),
            })
            .collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Self { files }
    }

    /// Reads the files under `root`, symbolic links and [skipped](lang::is_skipped) and
    /// [product](lang::is_product) folders left out, but not `source_folders` (relative to it).
    pub fn read(root: &Path, source_folders: &BTreeSet<String>) -> Result<Self, LangError> {
        let mut files = Vec::new();
        let mut waiting = vec![root.to_path_buf()];
        while let Some(dir) = waiting.pop() {
            let io = |source| LangError::Io {
                what: "list",
                path: dir.clone(),
                source,
            };
            for entry in std::fs::read_dir(&dir).map_err(io)? {
                let entry = entry.map_err(io)?;
                let kind = entry.file_type().map_err(io)?;
                let name = entry.file_name();
                if kind.is_dir() {
                    let path = entry.path();
                    let below = path.strip_prefix(root).ok().and_then(Path::to_str);
                    let is_source = below.is_some_and(|below| source_folders.contains(below));
                    let is_seen = |name: &str| {
                        !lang::is_skipped(name) && (is_source || !is_product(name, &path))
                    };
                    if name.to_str().is_none_or(is_seen) {
                        waiting.push(path);
                    }
                } else if kind.is_file() {
                    files.extend(read_file(root, &entry.path()));
                }
            }
        }
        files.sort_by(|a: &RepoFile, b| a.path.cmp(&b.path));
        Ok(Self { files })
    }

    /// The same of a tree that `shadow` holds, without a directory.
    pub fn of_tree(
        shadow: &Shadow,
        tree: &TreeId,
        source_folders: &BTreeSet<String>,
    ) -> Result<Self, LangError> {
        Self::default().at(shadow, None, tree, source_folders)
    }

    /// The view of `tree`, by this one of the tree `base`: files that differ are read.
    pub fn at(
        &self,
        shadow: &Shadow,
        base: Option<&TreeId>,
        tree: &TreeId,
        source_folders: &BTreeSet<String>,
    ) -> Result<Self, LangError> {
        if base == Some(tree) {
            return Ok(self.clone());
        }
        let changes = base.map(|base| shadow.changes(base, tree)).transpose()?;
        let changed: HashSet<&str> = changes.iter().flatten().map(|c| c.path.as_str()).collect();
        let paths = shadow.files(tree)?;
        let mut products = lang::product_folders(paths.iter().map(String::as_str));
        products.retain(|folder| !source_folders.contains(*folder));
        let is_seen = |path: &&str| {
            let mut names = path.split('/').rev().skip(1);
            let mut folders = path.match_indices('/').map(|(at, _)| &path[..at]);
            !names.any(lang::is_skipped) && !folders.any(|folder| products.contains(folder))
        };
        let seen: Vec<&str> = paths.iter().map(String::as_str).filter(is_seen).collect();
        let known = |path: &str| self.get(path).filter(|_| !changed.contains(path));
        let others: Vec<&str> = seen
            .iter()
            .copied()
            .filter(|path| known(path).is_none())
            .collect();
        let mut files: Vec<RepoFile> = seen
            .iter()
            .filter_map(|path| known(path).cloned())
            .collect();
        let wanted: HashSet<&str> = others.iter().copied().collect();
        let read = match others.is_empty() {
            true => Vec::new(),
            false => shadow.read_files(tree, &others, FILE_BYTES_MAX)?,
        };
        let read = read
            .into_iter()
            .filter(|file| wanted.contains(file.path.as_str()));
        files.extend(read.map(|file| RepoFile {
            text: file.bytes.and_then(|bytes| text_of(&file.path, bytes)),
            path: file.path.replace('\\', "/"),
        }));
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { files })
    }

    /// Sentences on the code that cannot be read as text, of the files that `is_meant` takes;
    /// `None` where all of it can. The view is of the files below `root`.
    pub fn unread(&self, root: &Path, is_meant: impl Fn(&RepoFile) -> bool) -> Option<String> {
        let is_unread = |file: &&RepoFile| file.text.is_none() && file.language().is_code();
        let unread = self.files.iter().filter(is_unread);
        let unread: Vec<&RepoFile> = unread.filter(|file| is_meant(file)).collect();
        let why = |file: &RepoFile| {
            let full = root.join(&file.path);
            if full.metadata().is_ok_and(|m| m.len() > FILE_BYTES_MAX) {
                let kb_max = FILE_BYTES_MAX / 1_000;
                return format!("{} is longer than {kb_max} kB.", file.path);
            }
            match std::fs::read(full).map(|bytes| TextFile::decode(&file.path, bytes)) {
                Ok(Err(sentence)) => sentence,
                Ok(Ok(_)) => format!("{} has changed.", file.path),
                Err(error) => format!("{} cannot be read: {error}.", file.path),
            }
        };
        let shown = unread.iter().take(UNREAD_SHOWN_MAX);
        let mut sentences: Vec<String> = shown.map(|file| why(file)).collect();
        if unread.len() > UNREAD_SHOWN_MAX {
            let n_more = unread.len() - UNREAD_SHOWN_MAX;
            sentences.push(format!("{n_more} more files cannot be read."));
        }
        (!sentences.is_empty()).then(|| sentences.join(" "))
    }

    pub fn get(&self, path: &str) -> Option<&RepoFile> {
        let found = self
            .files
            .binary_search_by(|file| file.path.as_str().cmp(path));
        found.ok().map(|index| &self.files[index])
    }
}

/// Of a folder on disk.
fn is_product(name: &str, folder: &Path) -> bool {
    if !lang::may_be_product(name) {
        return false;
    }
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let holds: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    lang::is_product(name, holds.iter().map(String::as_str))
}

/// `None` for a file whose name is no UTF-8: no model could name it.
fn read_file(root: &Path, full: &Path) -> Option<RepoFile> {
    let path = full.strip_prefix(root).ok()?.to_str()?.replace('\\', "/");
    let small = full.metadata().is_ok_and(|m| m.len() <= FILE_BYTES_MAX);
    let bytes = small.then(|| std::fs::read(full).ok()).flatten();
    let text = bytes.and_then(|bytes| text_of(&path, bytes));
    Some(RepoFile { path, text })
}

fn text_of(path: &str, bytes: Vec<u8>) -> Option<Arc<str>> {
    Some(TextFile::decode(path, bytes).ok()?.into_text().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_and_caches_are_not() {
        let dir = tempfile::tempdir().unwrap();
        for (path, bytes) in [
            ("pkg/b.py", &b"x = 1\r\n"[..]),
            ("a.py", b"y = 2\n"),
            ("logo.png", b"\x89PNG\0"),
            ("__pycache__/a.pyc", b"0"),
            (".git/config", b"[core]"),
            ("tests/test_a.py", b""),
        ] {
            let full = dir.path().join(path);
            std::fs::create_dir_all(full.parent().unwrap()).unwrap();
            std::fs::write(full, bytes).unwrap();
        }
        let none = BTreeSet::new();
        let view = RepoView::read(dir.path(), &none).unwrap();
        let paths: Vec<_> = view.files.iter().map(|f| f.path.as_str()).collect();
        assert_eq!(paths, ["a.py", "logo.png", "pkg/b.py", "tests/test_a.py"]);
        assert_eq!(
            view.get("pkg/b.py").unwrap().text.as_deref(),
            Some("x = 1\n")
        );
        assert_eq!(view.get("logo.png").unwrap().text, None);
        assert!(view.get("tests/test_a.py").unwrap().is_test());
        assert!(!view.get("a.py").unwrap().is_test());
        assert!(view.get("c.py").is_none());
        // A tree shows the same as its files do.
        std::fs::write(dir.path().join("long.txt"), vec![b'x'; 2 << 20]).unwrap();
        std::fs::write(dir.path().join("empty.py"), "").unwrap();
        std::os::unix::fs::symlink("a.py", dir.path().join("link.py")).unwrap();
        std::fs::remove_dir_all(dir.path().join(".git")).unwrap();
        let git = tempfile::tempdir().unwrap();
        let shadow = Shadow::open(git.path()).unwrap();
        let tree = shadow.snapshot(dir.path()).unwrap();
        let of_tree = RepoView::of_tree(&shadow, &tree, &none).unwrap();
        assert_eq!(of_tree, RepoView::read(dir.path(), &none).unwrap());
        assert_eq!(of_tree.get("long.txt").unwrap().text, None);
        assert!(of_tree.get("link.py").is_none());
        // The view of another tree is the same whether it is read whole or by what differs.
        std::fs::write(dir.path().join("a.py"), "y = 3\n").unwrap();
        std::fs::remove_file(dir.path().join("pkg/b.py")).unwrap();
        std::fs::write(dir.path().join("pkg/new.py"), "z = 1\n").unwrap();
        let next = shadow.snapshot(dir.path()).unwrap();
        let by_changes = of_tree.at(&shadow, Some(&tree), &next, &none).unwrap();
        assert_eq!(by_changes, RepoView::read(dir.path(), &none).unwrap());
        assert!(by_changes.get("pkg/new.py").is_some() && by_changes.get("pkg/b.py").is_none());
        // A folder that is called and filled like one of products, and that git tracks.
        std::fs::create_dir_all(dir.path().join("build/lib")).unwrap();
        std::fs::write(dir.path().join("build/lib/made.py"), "").unwrap();
        let tree = shadow.snapshot(dir.path()).unwrap();
        for (folders, is_seen) in [(none, false), (["build".to_owned()].into(), true)] {
            let views = [
                RepoView::read(dir.path(), &folders).unwrap(),
                RepoView::of_tree(&shadow, &tree, &folders).unwrap(),
            ];
            assert!(
                views
                    .iter()
                    .all(|view| view.get("build/lib/made.py").is_some() == is_seen)
            );
        }
    }
}
