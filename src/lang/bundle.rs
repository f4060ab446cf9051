//! A suite for languages whose test files do not join into one: the suite's file holds
//! each source whole, with the path that its author gave it, and is no program itself.
//! The runner puts a source at its path, runs it, and takes it away again.
//!
//! Done: sources without a test, sources that do not parse, and equal sources are
//! dropped and named. Each source runs as its author wrote it, so relative imports and
//! package-private names resolve.
//! Not done: sources are not merged. Tests that check the same thing in other words stay,
//! each source costs a process, and a helper file that a source imports is not in it.
use super::{Consolidated, Dropped, LangError, SourceKind, TestSource};
use crate::record::TestOutcome;
use std::collections::HashSet;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::slice;

/// The opening of the line before each source.
const MARK: &str = "//// ";
/// Stands before a source's path in that line.
const AT: &str = " at ";
/// Stands before a source's origin in that line.
const FROM: &str = ", from ";

/// One source of a suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part<'a> {
    /// `source_1`: its tests' ids are `SUITE::source_1::test`.
    pub name: &'a str,
    pub path: Option<&'a str>,
    pub text: &'a str,
}

/// Why a source that a model wrote cannot be run by itself; `None` where it can. `run`
/// runs the text of a suite.
pub(super) fn written_fault(
    text: &str,
    fault: &dyn Fn(&TestSource) -> Option<String>,
    run: impl FnOnce(&str) -> Result<Vec<TestOutcome>, LangError>,
) -> Result<Option<String>, LangError> {
    let source = TestSource {
        origin: "new".to_owned(),
        kind: SourceKind::Written,
        path: None,
        text: text.to_owned(),
    };
    let suite = bundle(slice::from_ref(&source), fault);
    if let Some(dropped) = suite.dropped.into_iter().next() {
        return Ok(Some(dropped.why));
    }
    let bad = run(&suite.text)?
        .into_iter()
        .find(|test| test.id.ends_with("::*"));
    Ok(bad.map(|test| test.message))
}

/// One file of many sources. `fault` says what is wrong with one on its own.
pub(super) fn bundle(
    sources: &[TestSource],
    fault: &dyn Fn(&TestSource) -> Option<String>,
) -> Consolidated {
    let mut suite = Consolidated::default();
    let mut known = HashSet::new();
    for source in sources {
        let (text, path) = (source.text.trim(), source.path.as_deref());
        let why = if text.lines().any(|line| line.starts_with(MARK)) {
            Some(format!("holds a line that begins with `{}`", MARK.trim()))
        } else if path.is_some_and(|path| !is_plain(path)) {
            Some("stands outside the repository".to_owned())
        } else if !known.insert((path, text)) {
            Some("says the same as one before it".to_owned())
        } else {
            fault(source)
        };
        if let Some(why) = why {
            suite.dropped.push(Dropped {
                origin: source.origin.clone(),
                why,
            });
            continue;
        }
        let name = format!("source_{}", suite.tests.len() + 1);
        let place = path.map_or(String::new(), |path| format!("{AT}{path}"));
        let origin = source.origin.split_whitespace().collect::<Vec<_>>();
        suite.text += &format!("{MARK}{name}{place}{FROM}{}\n{text}\n\n", origin.join(" "));
        suite.tests.push((name, source.origin.clone()));
    }
    if !suite.tests.is_empty() {
        let head = "// Tests of the current issue. Each source below is a file of its own.\n\n";
        suite.text.insert_str(0, head);
    }
    suite
}

/// The sources of a suite's text.
pub(super) fn parts(suite: &str) -> Vec<Part<'_>> {
    let mut starts: Vec<usize> = suite.match_indices(MARK).map(|(at, _)| at).collect();
    starts.retain(|at| suite[..*at].ends_with('\n'));
    let ends = starts.iter().skip(1).copied().chain([suite.len()]);
    let parts = starts.iter().zip(ends).filter_map(|(start, end)| {
        let (head, text) = suite[*start..end].split_once('\n')?;
        let (name, _) = head.strip_prefix(MARK)?.split_once(FROM)?;
        let (name, path) = match name.split_once(AT) {
            Some((name, path)) => (name, Some(path)),
            None => (name, None),
        };
        Some(Part { name, path, text })
    });
    parts.collect()
}

/// True for a path that stays below the folder it is relative to.
fn is_plain(path: &str) -> bool {
    let mut components = Path::new(path).components();
    !path.is_empty() && components.all(|part| matches!(part, Component::Normal(_)))
}

/// A file that stands in a workspace until this is dropped; what stood there before is
/// then put back, and folders that were made are removed.
pub(super) struct Placed {
    target: PathBuf,
    before: Option<Vec<u8>>,
    /// The innermost first.
    made: Vec<PathBuf>,
}

impl Placed {
    /// Puts `text` at `path` below `dir`; `None` where something stands in its way: a
    /// link, a folder, a file in a folder's place.
    pub fn put(dir: &Path, path: &str, text: &str) -> Result<Option<Self>, LangError> {
        if !is_plain(path) {
            return Ok(None);
        }
        let target = dir.join(path);
        let folder = target.parent().unwrap_or(dir);
        let mut made = Vec::new();
        let mut at = dir.to_owned();
        for piece in Path::new(path)
            .parent()
            .into_iter()
            .flat_map(Path::components)
        {
            at.push(piece);
            match fs::symlink_metadata(&at) {
                Ok(meta) if meta.is_dir() => {}
                Ok(_) => return Ok(None),
                Err(_) => made.insert(0, at.clone()),
            }
        }
        let before = match fs::symlink_metadata(&target) {
            Ok(meta) if meta.is_file() => {
                Some(fs::read(&target).map_err(|e| LangError::io("read", &target, e))?)
            }
            Ok(_) => return Ok(None),
            Err(_) => None,
        };
        fs::create_dir_all(folder).map_err(|e| LangError::io("make", folder, e))?;
        // A file of its own: what stands there may be a hard link.
        fs::remove_file(&target).ok();
        fs::write(&target, text).map_err(|e| LangError::io("write", &target, e))?;
        Ok(Some(Self {
            target,
            before,
            made,
        }))
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        // The tests may have removed or replaced it: nothing depends on it any more.
        fs::remove_file(&self.target).ok();
        if let Some(bytes) = &self.before {
            fs::write(&self.target, bytes).ok();
        }
        for folder in &self.made {
            fs::remove_dir(folder).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::SourceKind;

    fn source(path: Option<&str>, text: &str) -> TestSource {
        TestSource {
            origin: "branch 2's\nfile".to_owned(),
            kind: SourceKind::Written,
            path: path.map(str::to_owned),
            text: text.to_owned(),
        }
    }

    #[test]
    fn sources_come_out_of_a_suite_as_they_went_in() {
        let fault = |source: &TestSource| {
            let has_test = source.text.contains("test(");
            (!has_test).then(|| "holds no test".to_owned())
        };
        let suite = bundle(
            &[
                source(Some("test/a.test.js"), "test(1);\n\n// end\n"),
                source(None, "test(2);"),
                source(Some("test/b.test.js"), "test(2);"),
                source(Some("test/b.test.js"), "  test(2);\n"),
                source(None, "x();"),
                source(None, "test(3);\n//// source_9 at x\n"),
                source(Some("../a.js"), "test(4);"),
            ],
            &fault,
        );
        let found = parts(&suite.text);
        let names: Vec<_> = found.iter().map(|part| (part.name, part.path)).collect();
        assert_eq!(
            names,
            [
                ("source_1", Some("test/a.test.js")),
                ("source_2", None),
                ("source_3", Some("test/b.test.js"))
            ]
        );
        assert_eq!(found[0].text.trim(), "test(1);\n\n// end");
        let why: Vec<&str> = suite.dropped.iter().map(|d| d.why.as_str()).collect();
        assert_eq!(
            why,
            [
                "says the same as one before it",
                "holds no test",
                "holds a line that begins with `////`",
                "stands outside the repository"
            ]
        );
    }

    #[test]
    fn what_is_put_into_a_workspace_leaves_no_trace() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.js"), "before").unwrap();
        std::os::unix::fs::symlink("/tmp", dir.path().join("link")).unwrap();
        let put = |path: &str| Placed::put(dir.path(), path, "text").unwrap();
        let placed = [put("a.js"), put("new/folder/b.js")];
        let read = |path: &str| fs::read_to_string(dir.path().join(path)).unwrap_or_default();
        assert_eq!(
            (read("a.js"), read("new/folder/b.js")),
            ("text".into(), "text".into())
        );
        drop(placed);
        assert_eq!(read("a.js"), "before");
        assert!(!dir.path().join("new").exists());
        assert!(put("link/b.js").is_none() && put("a.js/b.js").is_none() && put("link").is_none());
        assert!(put("../b.js").is_none());
    }
}
