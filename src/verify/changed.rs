//! What a patch changes, by file and line.
use super::VerifyError;
use crate::lang::{ChangedLines, TextFile, is_test_side, origins};
use crate::workspace::{Change, Shadow, TreeId};
use std::path::Path;

/// Files of `dir`, which holds the tree that these changes lead to, that are new or otherwise;
/// links left out.
pub(super) fn changed_files(dir: &Path, changes: &[Change]) -> Vec<String> {
    let there = changes.iter().filter(|change| change.is_in_to);
    let is_plain = |path: &&String| {
        let meta = std::fs::symlink_metadata(dir.join(path));
        meta.is_ok_and(|meta| meta.is_file())
    };
    there
        .map(|change| &change.path)
        .filter(is_plain)
        .cloned()
        .collect()
}

/// The lines of `files`, without tests and what is no text, that `dir` has and the tree `base`
/// has not. Cost: a line diff and a git process a file.
pub(super) fn changed_lines(
    shadow: &Shadow,
    base: &TreeId,
    dir: &Path,
    files: &[String],
) -> Result<ChangedLines, VerifyError> {
    let mut changed = ChangedLines::new();
    for path in files.iter().filter(|path| !is_test_side(path)) {
        let Some(new) = TextFile::read(dir, path) else {
            continue;
        };
        let old = shadow.bytes_of(base, path.as_bytes())?;
        let old = old.and_then(|bytes| TextFile::decode(path, bytes).ok());
        let old = old.as_ref().map_or("", TextFile::text);
        let lines: Vec<u32> = (1..)
            .zip(origins(old, new.text()))
            .filter_map(|(line, origin)| origin.is_none().then_some(line))
            .collect();
        if !lines.is_empty() {
            changed.insert(path.clone(), lines);
        }
    }
    Ok(changed)
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
        write(base.path(), "gone.py", "x = 1\n");
        write(base.path(), "same.py", "x = 1\n");
        write(patch.path(), "same.py", "x = 1\n");
        write(base.path(), "less.py", "x = 1\ny = 2\n");
        write(patch.path(), "less.py", "x = 1\n");
        write(patch.path(), "new.py", "y = 1\n");
        write(patch.path(), "test_new.py", "def test_x(): pass\n");
        let git = tempfile::tempdir().unwrap();
        let shadow = Shadow::open(git.path()).unwrap();
        let trees = [&base, &patch].map(|dir| shadow.snapshot(dir.path()).unwrap());
        let changes = shadow.changes(&trees[0], &trees[1]).unwrap();
        let files = changed_files(patch.path(), &changes);
        assert_eq!(files, ["less.py", "m.py", "new.py", "test_new.py"]);
        let lines = changed_lines(&shadow, &trees[0], patch.path(), &files).unwrap();
        let expected = [
            ("m.py".to_owned(), vec![2, 4]),
            ("new.py".to_owned(), vec![1]),
        ];
        assert_eq!(lines, ChangedLines::from(expected));
    }
}
