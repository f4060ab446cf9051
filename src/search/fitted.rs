//! Edits that fit the issue's example instead of the cause.
use regex::Regex;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

/// Shorter strings stand in programs by chance.
const LITERAL_CHARS_MIN: usize = 3;

/// Files beyond this are data.
const PROGRAM_BYTES_MAX: u64 = 1 << 20;

/// A quoted string of one line, by either quote.
static QUOTED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#""([^"\\\n]+)"|'([^'\\\n]+)'"#).expect("a valid pattern"));

/// The first string that `patch` writes into the program at `dir` though the
/// program has it nowhere else and the tests in `suite` do: such an edit makes the
/// example pass and nothing but the example.
///
/// What the tests have and the program must learn, the name of a new option for
/// instance, is taken for such a string too: this is a reason to look further, not
/// to drop a patch.
pub(super) fn example_literal(suite: &str, patch: &str, dir: &Path) -> Option<String> {
    let of_tests: BTreeSet<&str> = literals(suite).collect();
    let (mut added, mut before) = (Vec::new(), BTreeSet::new());
    let mut is_program = false;
    for line in patch.lines() {
        if let Some(path) = line.strip_prefix("+++ ") {
            is_program = !is_test(path);
        } else if line.starts_with("--- ") || !is_program {
            continue;
        } else if let Some(line) = line.strip_prefix('+') {
            added.extend(literals(line).filter(|literal| of_tests.contains(literal)));
        } else if line.starts_with('-') || line.starts_with(' ') {
            before.extend(literals(line));
        }
    }
    let mut added = added
        .into_iter()
        .filter(|literal| !before.contains(literal));
    let first = added.next()?;
    let written = 1 + added.filter(|literal| *literal == first).count();
    (uses(first, dir) <= written).then(|| first.to_owned())
}

fn literals(text: &str) -> impl Iterator<Item = &str> {
    let found = QUOTED.captures_iter(text);
    let inner = found.filter_map(|found| Some(found.get(1).or(found.get(2))?.as_str()));
    inner.filter(|literal| literal.chars().count() >= LITERAL_CHARS_MIN)
}

fn is_test(path: &str) -> bool {
    path.split('/').any(|part| {
        part == "tests" || part == "test" || part.starts_with("test_") || part.ends_with("_test.py")
    })
}

/// How often the program quotes a string.
fn uses(literal: &str, dir: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return 0;
    };
    let of_entry = |entry: std::fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(kind) = entry.file_type() else {
            return 0;
        };
        if name.starts_with('.') || is_test(&name) {
            0
        } else if kind.is_dir() {
            uses(literal, &entry.path())
        } else if kind.is_file() && entry.metadata().is_ok_and(|m| m.len() <= PROGRAM_BYTES_MAX) {
            let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
            literals(&text).filter(|other| *other == literal).count()
        } else {
            0
        }
    };
    entries.flatten().map(of_entry).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUITE: &str = "def test_issue():\n    tool = Tool(\"sander\")\n    assert fees([tool]) == {\"sander\": 500}\n";

    /// What is found in a program of one file that a patch has changed.
    fn found(before: &[&str], added: &[&str]) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        let text = [before, added].concat().join("\n");
        std::fs::write(dir.path().join("ledger.py"), &text).unwrap();
        std::fs::create_dir(dir.path().join("tests")).unwrap();
        std::fs::write(dir.path().join("tests/test_a.py"), "x = \"sander\"\n").unwrap();
        let added: String = added.iter().map(|line| format!("+{line}\n")).collect();
        let patch = format!("--- a/ledger.py\n+++ b/ledger.py\n@@ -1 +1,2 @@\n{added}");
        example_literal(SUITE, &patch, dir.path())
    }

    #[test]
    fn a_string_that_only_the_example_has_is_found() {
        let fees = "    return fees";
        let fitted = ["    if tool == 'sander':", "        fees[\"sander\"] += 1"];
        assert_eq!(found(&[fees], &fitted), Some("sander".to_owned()));
    }

    #[test]
    fn a_string_that_the_program_has_as_well_is_no_sign() {
        let known = "TOOLS = [\"sander\"]";
        assert_eq!(found(&[known], &["    if tool == \"sander\":"]), None);
    }

    #[test]
    fn strings_that_the_tests_do_not_have_are_no_sign() {
        assert_eq!(found(&[], &["    raise ValueError(\"no fee\")"]), None);
        assert_eq!(found(&[], &["    fees[tool.name] += fee"]), None);
    }

    #[test]
    fn tests_may_name_what_they_test() {
        let patch = "--- /dev/null\n+++ b/tests/test_new.py\n@@ -0,0 +1 @@\n+x = \"sander\"\n";
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(example_literal(SUITE, patch, dir.path()), None);
    }
}
