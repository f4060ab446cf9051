//! The repository's own tests: which files they are, and that a patch is
//! judged by the base's version of them.
use super::VerifyError;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Folders whose tests are another project's.
const FOREIGN_DIRS: [&str; 7] = [
    "node_modules",
    "site-packages",
    "venv",
    "env",
    "build",
    "dist",
    "vendor",
];
/// Files that steer pytest, wherever they stand.
const PYTEST_FILES: [&str; 2] = ["conftest.py", "pytest.ini"];
/// Files at the root that may steer pytest.
const ROOT_CONFIGS: [&str; 6] = [
    ".pytest.ini",
    "pytest.toml",
    ".pytest.toml",
    "tox.ini",
    "setup.cfg",
    "pyproject.toml",
];
/// Steers cargo-nextest.
const NEXTEST_CONFIG: &str = ".config/nextest.toml";

/// Python's test files among `files` (a tree's paths, relative to its root), in order.
pub fn repository_tests(files: &[String]) -> Vec<String> {
    let own = |path: &&String| is_test_file(path) && path.as_str() != super::SUITE_FILE;
    files.iter().filter(own).cloned().collect()
}

/// Whether a path is a test file of Python's by its name.
pub(super) fn is_test_file(path: &str) -> bool {
    let (folders, name) = split(path);
    let foreign = |folder: &&str| folder.starts_with('.') || FOREIGN_DIRS.contains(folder);
    let Some(stem) = name.strip_suffix(".py") else {
        return false;
    };
    (stem.starts_with("test_") || stem.ends_with("_test") || stem == "tests")
        && !folders.iter().any(foreign)
}

/// Whether a file belongs to the tests rather than to what they test: test
/// files, all below a folder `tests` (or a `test` at the root), and what
/// configures the runner. Rust's unit tests stand in the files that they test,
/// so those of a patch are the patch's own.
pub(super) fn is_test_side(path: &str) -> bool {
    let (folders, name) = split(path);
    is_test_file(path)
        || PYTEST_FILES.contains(&name)
        || folders.contains(&"tests")
        || folders.first() == Some(&"test")
        || (folders.is_empty() && ROOT_CONFIGS.contains(&name))
        || path == NEXTEST_CONFIG
}

fn split(path: &str) -> (Vec<&str>, &str) {
    let mut folders: Vec<&str> = path.split('/').collect();
    let name = folders.pop().unwrap_or(path);
    (folders, name)
}

/// Makes the test side of `to` what it is in `from`, so that a patch cannot
/// weaken the tests that judge it: changed and removed files come back, added
/// ones go. Returns the paths that differed.
pub fn restore_tests(from: &Path, to: &Path) -> Result<Vec<String>, VerifyError> {
    let wanted: BTreeSet<String> = test_side(from)?;
    let found: BTreeSet<String> = test_side(to)?;
    let mut changed = Vec::new();
    for path in found.difference(&wanted) {
        let extra = to.join(path);
        fs::remove_file(&extra).map_err(|source| VerifyError::io("remove", &extra, source))?;
        changed.push(path.clone());
    }
    for path in wanted {
        let (source, target) = (from.join(&path), to.join(&path));
        if !same_file(&source, &target) {
            replace_file(&source, to, &path)?;
            changed.push(path);
        }
    }
    Ok(changed)
}

fn test_side(dir: &Path) -> Result<BTreeSet<String>, VerifyError> {
    let mut files = list_files(dir)?;
    files.retain(|path| is_test_side(path));
    Ok(files.into_iter().collect())
}

fn same_file(a: &Path, b: &Path) -> bool {
    let plain = |path: &Path| fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file());
    match (plain(a), plain(b)) {
        (true, true) => matches!((fs::read(a), fs::read(b)), (Ok(x), Ok(y)) if x == y),
        _ => matches!((fs::read_link(a), fs::read_link(b)), (Ok(x), Ok(y)) if x == y),
    }
}

/// Puts a copy of `source` at `root/path`. Nothing outside `root` is touched,
/// even if the tree has a link where the path has a folder.
pub(crate) fn replace_file(source: &Path, root: &Path, path: &str) -> Result<(), VerifyError> {
    let mut at = root.to_owned();
    let pieces: Vec<Component<'_>> = Path::new(path).components().collect();
    let (_, folders) = pieces.split_last().expect("a file's path is not empty");
    for folder in folders {
        at.push(folder);
        match fs::symlink_metadata(&at) {
            Ok(meta) if meta.is_dir() => continue,
            Ok(_) => fs::remove_file(&at).map_err(|e| VerifyError::io("remove", &at, e))?,
            Err(_) => {}
        }
        fs::create_dir(&at).map_err(|e| VerifyError::io("make", &at, e))?;
    }
    let target = root.join(path);
    match fs::symlink_metadata(&target) {
        Ok(meta) if meta.is_dir() => {
            fs::remove_dir_all(&target).map_err(|e| VerifyError::io("remove", &target, e))?;
        }
        Ok(_) => fs::remove_file(&target).map_err(|e| VerifyError::io("remove", &target, e))?,
        Err(_) => {}
    }
    let copied = match fs::read_link(source) {
        Ok(link) => std::os::unix::fs::symlink(link, &target),
        Err(_) => fs::copy(source, &target).map(drop),
    };
    copied.map_err(|e| VerifyError::io("write", &target, e))
}

/// Paths of all files below `dir`, links included and not followed, relative
/// to it with `/`, sorted; a `.git` at any depth is left out. A name that is
/// not UTF-8 is left out: no test of Python's has one.
pub(crate) fn list_files(dir: &Path) -> Result<Vec<String>, VerifyError> {
    let mut found = Vec::new();
    let mut todo: Vec<PathBuf> = vec![dir.to_owned()];
    while let Some(folder) = todo.pop() {
        let entries =
            fs::read_dir(&folder).map_err(|source| VerifyError::io("list", &folder, source))?;
        for entry in entries {
            let entry = entry.map_err(|source| VerifyError::io("list", &folder, source))?;
            let path = entry.path();
            if entry.file_name() == ".git" {
                continue;
            }
            let kind = entry
                .file_type()
                .map_err(|source| VerifyError::io("look at", &path, source))?;
            if kind.is_dir() {
                todo.push(path);
            } else if let Some(name) = path.strip_prefix(dir).ok().and_then(Path::to_str) {
                found.push(name.to_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(dir: &Path, path: &str, text: &str) {
        let file = dir.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    #[test]
    fn test_files_are_found_by_name_and_foreign_ones_are_not() {
        let files = [
            "a.py",
            "conftest.py",
            "node_modules/x/test_x.py",
            "pkg/util_test.py",
            "test_current_issue.py",
            "tests/data.json",
            "tests/test_a.py",
            ".venv/test_b.py",
        ]
        .map(str::to_owned);
        assert_eq!(
            repository_tests(&files),
            ["pkg/util_test.py", "tests/test_a.py"]
        );
    }

    #[test]
    fn a_patch_cannot_weaken_the_tests() {
        let (base, patch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write(base.path(), "tests/test_a.py", "assert True");
        write(base.path(), "tests/helper.py", "x = 1");
        write(base.path(), "code.py", "old");
        write(patch.path(), "tests/test_a.py", "");
        write(patch.path(), "conftest.py", "import pytest");
        write(patch.path(), "pytest.ini", "[pytest]");
        write(patch.path(), "code.py", "new");
        let changed = restore_tests(base.path(), patch.path()).unwrap();
        assert_eq!(
            changed,
            [
                "conftest.py",
                "pytest.ini",
                "tests/helper.py",
                "tests/test_a.py"
            ]
        );
        assert_eq!(
            list_files(patch.path()).unwrap(),
            ["code.py", "tests/helper.py", "tests/test_a.py"]
        );
        assert_eq!(
            fs::read_to_string(patch.path().join("code.py")).unwrap(),
            "new"
        );
        assert!(restore_tests(base.path(), patch.path()).unwrap().is_empty());
    }

    #[test]
    fn a_link_in_place_of_a_folder_is_not_followed() {
        let (base, patch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let outside = tempfile::tempdir().unwrap();
        write(base.path(), "tests/test_a.py", "base");
        std::os::unix::fs::symlink(outside.path(), patch.path().join("tests")).unwrap();
        restore_tests(base.path(), patch.path()).unwrap();
        assert!(list_files(outside.path()).unwrap().is_empty());
        assert_eq!(
            fs::read_to_string(patch.path().join("tests/test_a.py")).unwrap(),
            "base"
        );
    }
}
