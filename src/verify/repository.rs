//! The repository's own tests: a patch is judged by the base's version of them.
use super::VerifyError;
use crate::lang::{is_test_side, list_files};
use crate::workspace::{Change, Shadow, TreeId, put_file};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Makes the test side of `to` what it is in `from`, so that a patch cannot
/// weaken the tests that judge it: changed and removed files come back, added
/// ones go. `tests` are test files by the runner's word, whatever they are called.
/// Returns the paths that differed.
pub fn restore_tests(
    from: &Path,
    to: &Path,
    tests: &BTreeSet<&str>,
) -> Result<Vec<String>, VerifyError> {
    let wanted: BTreeSet<String> = test_side(from, tests)?;
    let found: BTreeSet<String> = test_side(to, tests)?;
    let mut changed = Vec::new();
    for path in found.difference(&wanted) {
        let extra = to.join(path);
        fs::remove_file(&extra).map_err(|source| VerifyError::io("remove", &extra, source))?;
        changed.push(path.clone());
    }
    for path in wanted {
        let (source, target) = (from.join(&path), to.join(&path));
        if !same_file(&source, &target) {
            put_file(&source, to, Path::new(&path))?;
            changed.push(path);
        }
    }
    Ok(changed)
}

/// [`restore_tests`] in `dir`, which holds a tree that differs from `base` by `changes`. Cost:
/// follows the changes.
pub(super) fn put_tests_back(
    shadow: &Shadow,
    base: &TreeId,
    dir: &Path,
    changes: &[Change],
    tests: &BTreeSet<&str>,
) -> Result<(), VerifyError> {
    let is_test = |path: &str| is_test_side(path) || tests.contains(path);
    let mut of_base: Vec<&str> = Vec::new();
    for change in changes.iter().filter(|change| is_test(&change.path)) {
        match change.is_in_from {
            true => of_base.push(&change.path),
            false => {
                let extra = dir.join(&change.path);
                fs::remove_file(&extra).map_err(|e| VerifyError::io("remove", &extra, e))?;
            }
        }
    }
    if !of_base.is_empty() {
        shadow.check_out_files(base, &of_base, dir)?;
    }
    Ok(())
}

fn test_side(dir: &Path, tests: &BTreeSet<&str>) -> Result<BTreeSet<String>, VerifyError> {
    let mut files = list_files(dir)?;
    files.retain(|path| is_test_side(path) || tests.contains(path.as_str()));
    Ok(files.into_iter().collect())
}

fn same_file(a: &Path, b: &Path) -> bool {
    let plain = |path: &Path| fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file());
    match (plain(a), plain(b)) {
        (true, true) => matches!((fs::read(a), fs::read(b)), (Ok(x), Ok(y)) if x == y),
        _ => matches!((fs::read_link(a), fs::read_link(b)), (Ok(x), Ok(y)) if x == y),
    }
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
    fn a_patch_cannot_weaken_the_tests() {
        let (base, patch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write(base.path(), "tests/test_a.py", "assert True");
        write(base.path(), "tests/helper.py", "x = 1");
        write(base.path(), "code.py", "old");
        write(patch.path(), "tests/test_a.py", "");
        write(patch.path(), "conftest.py", "import pytest");
        write(patch.path(), "pytest.ini", "[pytest]");
        write(patch.path(), "code.py", "new");
        let changed = restore_tests(base.path(), patch.path(), &BTreeSet::new()).unwrap();
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
        assert!(
            restore_tests(base.path(), patch.path(), &BTreeSet::new())
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn tests_are_put_back_in_a_tree_by_its_changes() {
        let (base, patch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let git = tempfile::tempdir().unwrap();
        write(base.path(), "tests/test_a.py", "assert True");
        write(base.path(), "tests/test_b.py", "assert True");
        write(base.path(), "code.py", "old");
        write(patch.path(), "tests/test_a.py", "");
        write(patch.path(), "conftest.py", "import pytest");
        write(patch.path(), "code.py", "new");
        let shadow = Shadow::open(git.path()).unwrap();
        let [from, to] = [&base, &patch].map(|dir| shadow.snapshot(dir.path()).unwrap());
        let changes = shadow.changes(&from, &to).unwrap();
        put_tests_back(&shadow, &from, patch.path(), &changes, &BTreeSet::new()).unwrap();
        assert_eq!(
            list_files(patch.path()).unwrap(),
            ["code.py", "tests/test_a.py", "tests/test_b.py"]
        );
        let text = |path: &str| fs::read_to_string(patch.path().join(path)).unwrap();
        assert_eq!(
            (text("code.py"), text("tests/test_a.py")),
            ("new".into(), "assert True".into())
        );
    }

    #[test]
    fn a_link_in_place_of_a_folder_is_not_followed() {
        let (base, patch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let outside = tempfile::tempdir().unwrap();
        write(base.path(), "tests/test_a.py", "base");
        std::os::unix::fs::symlink(outside.path(), patch.path().join("tests")).unwrap();
        let git = tempfile::tempdir().unwrap();
        let shadow = Shadow::open(git.path()).unwrap();
        let [from, to] = [&base, &patch].map(|dir| shadow.snapshot(dir.path()).unwrap());
        let changes = shadow.changes(&from, &to).unwrap();
        put_tests_back(&shadow, &from, patch.path(), &changes, &BTreeSet::new()).unwrap();
        assert!(list_files(outside.path()).unwrap().is_empty());
        fs::remove_dir_all(patch.path().join("tests")).unwrap();
        std::os::unix::fs::symlink(outside.path(), patch.path().join("tests")).unwrap();
        restore_tests(base.path(), patch.path(), &BTreeSet::new()).unwrap();
        assert!(list_files(outside.path()).unwrap().is_empty());
        assert_eq!(
            fs::read_to_string(patch.path().join("tests/test_a.py")).unwrap(),
            "base"
        );
    }
}
