//! The parts of a patch as people read them, where git shows a file as binary.
use crate::lang::{Encoding, TextFile};
use crate::record::PatchPart;
use crate::workspace::{FileDiff, Shadow, TreeId, WorkspaceError};
use similar::TextDiff;

/// The parts of `patch`, which is from the first tree to the second; none where it reads as it
/// is.
pub(super) fn parts_of(
    shadow: &Shadow,
    prefix: &str,
    patch: &str,
    [from, to]: [&TreeId; 2],
    without: &[&str],
) -> Result<Vec<PatchPart>, WorkspaceError> {
    if !patch.contains(BINARY_MARK) {
        return Ok(Vec::new());
    }
    let mut parts = Vec::new();
    for diff in shadow.file_diffs(prefix, from, to, without)? {
        let text_file = |tree| -> Result<Option<TextFile>, WorkspaceError> {
            let bytes = shadow.bytes_of(tree, &diff.path)?;
            let path = std::str::from_utf8(&diff.path).unwrap_or_default();
            Ok(bytes.and_then(|bytes| TextFile::decode(path, bytes).ok()))
        };
        parts.push(match diff.text.contains(BINARY_MARK) {
            true => part(prefix, text_file(from)?, text_file(to)?, diff),
            false => plain_part(diff.text),
        });
    }
    Ok(parts)
}

/// The line that a binary patch of git begins with.
const BINARY_MARK: &str = "\nGIT binary patch\n";

fn plain_part(text: String) -> PatchPart {
    PatchPart {
        text,
        encoding: None,
        binary: None,
    }
}

/// A file's part of a patch as people read it: a binary patch where the file is no text.
fn part(prefix: &str, old: Option<TextFile>, new: Option<TextFile>, diff: FileDiff) -> PatchPart {
    if std::str::from_utf8(&diff.plain).is_err() {
        let own = new.as_ref().or(old.as_ref()).map(TextFile::encoding);
        // Latin-1 has a character for each byte: of a file of two encodings, or of none that is
        // known, the lines are there at least.
        let all = own.into_iter().chain(Encoding::named("latin-1"));
        let decoded = all.filter_map(|encoding| {
            let text = encoding.decode(&diff.plain)?;
            let is_whole = encoding.encode(&text).as_ref() == Ok(&diff.plain);
            is_whole.then(|| (text, encoding.name()))
        });
        let (text, encoding) = match decoded.into_iter().next() {
            Some((text, name)) => (text, Some(name)),
            None => (diff.text, None),
        };
        return PatchPart {
            encoding,
            ..plain_part(text)
        };
    }
    // UTF-16: git takes it for binary, since it holds zero bytes.
    let head = diff.text.split_once(BINARY_MARK).map(|(head, _)| head);
    let (has_old, has_new) = match head {
        Some(head) => (
            !head.contains("\nnew file mode"),
            !head.contains("\ndeleted file mode"),
        ),
        None => return plain_part(diff.text),
    };
    if has_old != old.is_some() || has_new != new.is_some() {
        return plain_part(diff.text);
    }
    let path = String::from_utf8_lossy(&diff.path);
    let name = |side: &str, is_there: bool| match is_there {
        true => format!("{side}/{prefix}{path}"),
        false => "/dev/null".to_owned(),
    };
    let text = |file: &Option<TextFile>| file.as_ref().map_or("", TextFile::text).to_owned();
    let (before, after) = (text(&old), text(&new));
    let lines = TextDiff::from_lines(&before, &after);
    let lines = lines
        .unified_diff()
        .header(&name("a", has_old), &name("b", has_new))
        .to_string();
    PatchPart {
        text: format!("{}\n{lines}", head.unwrap_or_default()),
        encoding: None,
        binary: Some(diff.text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Shadow;

    /// The parts of a patch from one content of the file `a.py` to another.
    fn parts(before: Option<&[u8]>, after: Option<&[u8]>) -> PatchPart {
        let dir = tempfile::tempdir().unwrap();
        let work = dir.path().join("work");
        std::fs::create_dir(&work).unwrap();
        let shadow = Shadow::open(&dir.path().join("git")).unwrap();
        let tree = |bytes: Option<&[u8]>| {
            std::fs::remove_file(work.join("a.py")).ok();
            if let Some(bytes) = bytes {
                std::fs::write(work.join("a.py"), bytes).unwrap();
            }
            shadow.snapshot(&work).unwrap()
        };
        let (old, new) = (tree(before), tree(after));
        let mut files = shadow.file_diffs("", &old, &new, &[]).unwrap();
        assert_eq!(files.len(), 1);
        let file = |bytes: Option<&[u8]>| TextFile::decode("a.py", bytes?.to_vec()).ok();
        part("", file(before), file(after), files.remove(0))
    }

    #[test]
    fn a_part_reads_as_the_file_does_and_keeps_its_bytes() {
        let latin = b"# coding: latin-1\nx = '\xfc'\n";
        let utf8 = "# coding: utf-8\nx = 'ü'\n".as_bytes();
        for (before, after) in [
            (Some(&latin[..]), None),
            (None, Some(&latin[..])),
            (
                Some(&latin[..]),
                Some(&b"# coding: latin-1\ny = '\xfc'\n"[..]),
            ),
        ] {
            let part = parts(before, after);
            assert_eq!(part.encoding.as_deref(), Some("iso-8859-1"));
            assert!(part.text.contains("x = 'ü'\n"), "{}", part.text);
            assert_eq!(part.binary, None);
        }
        // Two encodings, and none that is known.
        for (before, after) in [(&latin[..], utf8), (b"x = '\xfc'\n", b"y = '\xfc'\n")] {
            let part = parts(Some(before), Some(after));
            assert_eq!(part.encoding.as_deref(), Some("iso-8859-1"));
            assert!(part.text.contains("-x = 'ü'\n"), "{}", part.text);
        }
        let utf16 = |text: &str| -> Vec<u8> {
            let units = text.encode_utf16().flat_map(u16::to_le_bytes);
            [0xff, 0xfe].into_iter().chain(units).collect()
        };
        let part = parts(Some(&utf16("a\nb\n")), Some(&utf16("a\nü\n")));
        assert!(
            part.text
                .contains("+++ b/a.py\n@@ -1,2 +1,2 @@\n a\n-b\n+ü\n"),
            "{}",
            part.text
        );
        assert!(part.binary.unwrap().contains(BINARY_MARK));
        let part = parts(None, Some(&utf16("a\n")));
        assert!(
            part.text.contains("--- /dev/null\n+++ b/a.py\n"),
            "{}",
            part.text
        );
        let part = parts(None, Some(b"\0\xff"));
        assert!(part.text.contains(BINARY_MARK) && part.binary.is_none());
    }
}
