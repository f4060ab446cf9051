//! What a patch changes, by file and line.
use super::VerifyError;
use crate::lang::{ChangedLines, TextFile, is_test_side, list_files, origins};
use std::path::Path;

/// Files of `dir` that `base` has otherwise or not at all; links left out.
pub(super) fn changed_files(base: &Path, dir: &Path) -> Result<Vec<String>, VerifyError> {
    let mut files = list_files(dir)?;
    files.retain(|path| {
        let (old, new) = (base.join(path), dir.join(path));
        let is_plain = std::fs::symlink_metadata(&new).is_ok_and(|meta| meta.is_file());
        is_plain && std::fs::read(old).ok() != std::fs::read(new).ok()
    });
    Ok(files)
}

/// The lines of `files`, without tests and what is no text, that `dir` has and
/// `base` has not. Cost: a line diff a file.
pub(super) fn changed_lines(base: &Path, dir: &Path, files: &[String]) -> ChangedLines {
    let mut changed = ChangedLines::new();
    for path in files.iter().filter(|path| !is_test_side(path)) {
        let Some(new) = TextFile::read(dir, path) else {
            continue;
        };
        let old = TextFile::read(base, path);
        let old = old.as_ref().map_or("", TextFile::text);
        let lines: Vec<u32> = (1..)
            .zip(origins(old, new.text()))
            .filter_map(|(line, origin)| origin.is_none().then_some(line))
            .collect();
        if !lines.is_empty() {
            changed.insert(path.clone(), lines);
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_and_changed_lines_count_and_tests_do_not() {
        let (base, patch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let write = |dir: &Path, path: &str, text: &str| {
            std::fs::write(dir.join(path), text).unwrap();
        };
        write(base.path(), "m.py", "a = 1\nb = 2\nc = 3\n");
        write(patch.path(), "m.py", "a = 1\nb = 4\nc = 3\nd = 5\n");
        write(base.path(), "same.py", "x = 1\n");
        write(patch.path(), "same.py", "x = 1\n");
        write(base.path(), "less.py", "x = 1\ny = 2\n");
        write(patch.path(), "less.py", "x = 1\n");
        write(patch.path(), "new.py", "y = 1\n");
        write(patch.path(), "test_new.py", "def test_x(): pass\n");
        let files = changed_files(base.path(), patch.path()).unwrap();
        assert_eq!(files, ["less.py", "m.py", "new.py", "test_new.py"]);
        let lines = changed_lines(base.path(), patch.path(), &files);
        let expected = [
            ("m.py".to_owned(), vec![2, 4]),
            ("new.py".to_owned(), vec![1]),
        ];
        assert_eq!(lines, ChangedLines::from(expected));
    }
}
