//! A repository as an agent can be shown it: its files, read once.
use super::AgentError;
use crate::lang::{self, Language, Symbol};
use std::path::Path;

/// Files above this are listed, not read: no source that a person wrote is as long.
pub(crate) const FILE_BYTES_MAX: u64 = 1 << 20;
/// Files looked at in one repository; the rest is as if it were not there.
const FILES_MAX: usize = 200_000;

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepoFile {
    /// Relative to the root, with `/`.
    pub path: String,
    /// `None` for a file that is no UTF-8 text or too long.
    pub text: Option<String>,
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
    /// Reads the files under `root`, symbolic links and [skipped
    /// folders](lang::is_skipped) left out.
    pub fn read(root: &Path) -> Result<Self, AgentError> {
        let mut files = Vec::new();
        let mut waiting = vec![root.to_path_buf()];
        while let Some(dir) = waiting.pop() {
            let io = |source| AgentError::Io {
                what: "list",
                path: dir.clone(),
                source,
            };
            for entry in std::fs::read_dir(&dir).map_err(io)? {
                let entry = entry.map_err(io)?;
                let kind = entry.file_type().map_err(io)?;
                let name = entry.file_name();
                if kind.is_dir() && !name.to_str().is_some_and(lang::is_skipped) {
                    waiting.push(entry.path());
                } else if kind.is_file() && files.len() < FILES_MAX {
                    files.extend(read_file(root, &entry.path()));
                }
            }
        }
        files.sort_by(|a: &RepoFile, b| a.path.cmp(&b.path));
        Ok(Self { files })
    }

    pub fn get(&self, path: &str) -> Option<&RepoFile> {
        let found = self
            .files
            .binary_search_by(|file| file.path.as_str().cmp(path));
        found.ok().map(|index| &self.files[index])
    }
}

/// `None` for a file whose name is no UTF-8: no model could name it.
fn read_file(root: &Path, full: &Path) -> Option<RepoFile> {
    let path = full.strip_prefix(root).ok()?.to_str()?.replace('\\', "/");
    let small = full.metadata().is_ok_and(|m| m.len() <= FILE_BYTES_MAX);
    let bytes = small.then(|| std::fs::read(full).ok()).flatten();
    let text = bytes
        .filter(|bytes| !bytes.contains(&0))
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .map(|text| text.replace("\r\n", "\n"));
    Some(RepoFile { path, text })
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
        let view = RepoView::read(dir.path()).unwrap();
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
    }
}
