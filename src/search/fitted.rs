//! Edits that fit the issue's example instead of the cause.
use crate::index::RepoView;
use regex::Regex;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// Shorter strings stand in programs by chance.
const LITERAL_CHARS_MIN: usize = 3;

/// A quoted string of one line, by either quote.
static QUOTED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#""([^"\\\n]+)"|'([^'\\\n]+)'"#).expect("a valid pattern"));

/// The first string, by alphabet, that the tests in `suite` and the edited program
/// quote, and the program before the edit does not: such an edit makes the example
/// pass and nothing but the example.
///
/// What the tests have and the program must learn, the name of a new option for
/// instance, is taken for such a string too: this is a reason to look further, not
/// to drop a patch. Cost: a pass over the sources.
pub(super) fn example_literal(suite: &str, before: &RepoView, after: &RepoView) -> Option<String> {
    let (known, now) = (of_program(before), of_program(after));
    let fitted =
        literals(suite).filter(|literal| now.contains(literal) && !known.contains(literal));
    fitted.min().map(str::to_owned)
}

/// The strings that a repository's sources quote, its tests left out.
fn of_program(view: &RepoView) -> BTreeSet<&str> {
    let files = view.files.iter();
    let sources = files.filter(|file| file.is_source());
    sources
        .filter_map(|file| file.text.as_deref())
        .flat_map(literals)
        .collect()
}

fn literals(text: &str) -> impl Iterator<Item = &str> {
    let found = QUOTED.captures_iter(text);
    let inner = found.filter_map(|found| Some(found.get(1).or(found.get(2))?.as_str()));
    inner.filter(|literal| literal.chars().count() >= LITERAL_CHARS_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::RepoFile;

    const SUITE: &str = "def test_issue():\n    tool = Tool(\"sander\")\n    assert fees([tool]) == {\"sander\": 500}\n";

    fn view(files: &[(&str, &str)]) -> RepoView {
        let file = |(path, text): &(&str, &str)| RepoFile {
            path: (*path).to_owned(),
            text: Some((*text).into()),
        };
        RepoView {
            files: files.iter().map(file).collect(),
        }
    }

    /// The string that is found in a program of one file, its tests and a text beside it.
    fn found(before: &str, after: &str) -> Option<String> {
        let beside = ("README.md", "The \"sander\" costs 1.00.");
        let tests = ("tests/test_fees.py", "x = \"sander\"");
        let of = |text| view(&[beside, ("ledger.py", text), tests]);
        example_literal(SUITE, &of(before), &of(after))
    }

    #[test]
    fn a_string_that_only_the_example_has_is_found_by_either_quote() {
        for edit in ["if tool == 'sander':", "fees[\"sander\"] += 1"] {
            assert_eq!(found("return fees", edit), Some("sander".to_owned()));
        }
    }

    #[test]
    fn it_is_found_behind_strings_that_the_program_has_as_well() {
        let suite = format!("{SUITE}    assert kind(\"drill\") == 1\n");
        let before = view(&[("ledger.py", "KINDS = ['drill']")]);
        let after = view(&[("ledger.py", "KINDS = ['drill', 'drill', 'sander']")]);
        let found = example_literal(&suite, &before, &after);
        assert_eq!(found, Some("sander".to_owned()));
    }

    #[test]
    fn a_string_that_the_program_had_is_no_sign() {
        assert_eq!(
            found("TOOLS = [\"sander\"]", "if tool == \"sander\":"),
            None
        );
    }

    #[test]
    fn strings_that_the_tests_do_not_have_are_no_sign() {
        assert_eq!(found("", "raise ValueError(\"no fee\")"), None);
        assert_eq!(found("", "fees[tool.name] += fee"), None);
    }

    #[test]
    fn tests_may_name_what_they_test() {
        let after = view(&[("tests/test_new.py", "x = \"sander\"")]);
        assert_eq!(example_literal(SUITE, &view(&[]), &after), None);
    }
}
