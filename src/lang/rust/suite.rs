//! Consolidation for Rust: each source is a module of its own, so that no name
//! collides and one that does not compile can be taken out by its lines.
//!
//! Unit tests stand in the files that they test. So those of a patch are the patch's own,
//! while the files in `tests/` are the base's.
use crate::lang::{Consolidated, Dropped, TestSource};
use std::collections::HashSet;

/// The consolidated suite's file in a Rust package.
pub const RUST_SUITE_FILE: &str = "tests/test_current_issue.rs";

/// What every module's name begins with.
const MODULE_PREFIX: &str = "source_";

/// One file of many sources; see the module's documentation.
///
/// Dropped and named are sources without a test, equal ones (but for the first),
/// and those whose brackets, strings and comments do not close, as they would
/// take their neighbours along.
pub(super) fn consolidate_rust(sources: &[TestSource]) -> Consolidated {
    let mut suite = Consolidated::default();
    let mut known = HashSet::new();
    for source in sources {
        let text = source.text.trim();
        let why = if !has_test(text) {
            Some("holds no test")
        } else if !is_balanced(text) {
            Some("does not parse: a bracket, string or comment in it does not close")
        } else if !known.insert(text) {
            Some("says the same as one before it")
        } else {
            None
        };
        if let Some(why) = why {
            suite.dropped.push(Dropped {
                origin: source.origin.clone(),
                why: why.to_owned(),
            });
            continue;
        }
        let name = format!("{MODULE_PREFIX}{}", suite.tests.len() + 1);
        let origin = source.origin.split_whitespace().collect::<Vec<_>>();
        suite.text += &format!(
            "// From {}.\nmod {name} {{\n{text}\n}} // {name}\n\n",
            origin.join(" ")
        );
        suite.tests.push((name, source.origin.clone()));
    }
    if !suite.tests.is_empty() {
        let head = "// Tests of the current issue, consolidated.\n#![allow(warnings)]\n\n";
        suite.text.insert_str(0, head);
    }
    suite
}

/// Attributes that make a function a test: the standard one and those of
/// runtimes (`#[tokio::test]`).
fn has_test(text: &str) -> bool {
    let mut attributes = text.split("#[").skip(1);
    attributes.any(|rest| {
        let name = rest.split([']', '(']).next().unwrap_or_default().trim();
        name == "test" || name.ends_with("::test") || name == "rstest"
    })
}

/// The modules of a suite: name, first and last line, from 1.
pub(super) fn modules(suite: &str) -> Vec<(&str, usize, usize)> {
    let mut found = Vec::new();
    let mut open: Option<(&str, usize)> = None;
    for (line, n) in suite.lines().zip(1..) {
        let opened = line
            .strip_prefix("mod ")
            .and_then(|rest| rest.strip_suffix(" {"));
        match (open, opened) {
            (None, Some(name)) if name.starts_with(MODULE_PREFIX) => open = Some((name, n)),
            (Some((name, first)), _) if line.strip_prefix("} // ") == Some(name) => {
                found.push((name, first, n));
                open = None;
            }
            _ => {}
        }
    }
    found
}

/// The suite without the modules called `out`; the lines of the others stay
/// where they are.
pub(super) fn without_modules(suite: &str, out: &[String]) -> String {
    let gone: Vec<(usize, usize)> = modules(suite)
        .into_iter()
        .filter(|(name, _, _)| out.iter().any(|other| other == name))
        .map(|(_, first, last)| (first, last))
        .collect();
    let mut text = String::with_capacity(suite.len());
    for (line, n) in suite.lines().zip(1..) {
        if !gone
            .iter()
            .any(|&(first, last)| (first..=last).contains(&n))
        {
            text += line;
        }
        text.push('\n');
    }
    text
}

/// Whether brackets pair up and strings and comments close.
fn is_balanced(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut open = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text.as_bytes()[at..];
        at += match bytes[at] {
            b'(' => push(&mut open, b')'),
            b'[' => push(&mut open, b']'),
            b'{' => push(&mut open, b'}'),
            close @ (b')' | b']' | b'}') => match open.pop() == Some(close) {
                true => 1,
                false => return false,
            },
            _ => match token_len(rest, at > 0 && is_word(bytes[at - 1])) {
                Some(len) => len,
                None => return false,
            },
        };
    }
    open.is_empty()
}

fn push(open: &mut Vec<u8>, close: u8) -> usize {
    open.push(close);
    1
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Bytes of the string, comment or character that `rest` begins with, or one;
/// `None` if it does not close.
fn token_len(rest: &[u8], in_word: bool) -> Option<usize> {
    match rest {
        [b'/', b'/', ..] => Some(find(rest, b"\n").unwrap_or(rest.len())),
        [b'/', b'*', ..] => comment_len(rest),
        [b'"', ..] => quoted_len(rest, b'"'),
        [b'r', next, ..] if !in_word && matches!(next, b'"' | b'#') => raw_len(rest, 1),
        [b'b' | b'c', b'r', b'"' | b'#', ..] if !in_word => raw_len(rest, 2),
        [b'\'', b'\\', ..] => quoted_len(rest, b'\''),
        // A character closes behind itself; else it is a lifetime.
        [b'\'', first, ..] => {
            let len = match first {
                0x00..=0x7f => 1,
                0xc0..=0xdf => 2,
                0xe0..=0xef => 3,
                _ => 4,
            };
            Some(if rest.get(1 + len) == Some(&b'\'') {
                len + 2
            } else {
                1
            })
        }
        _ => Some(1),
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

/// Comments nest.
fn comment_len(rest: &[u8]) -> Option<usize> {
    let (mut depth, mut at) = (0usize, 0);
    while at + 1 < rest.len() {
        match &rest[at..at + 2] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

fn quoted_len(rest: &[u8], quote: u8) -> Option<usize> {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

/// `r##"..."##`, whose hashes begin at `start`; an identifier `r#name` is one byte.
fn raw_len(rest: &[u8], start: usize) -> Option<usize> {
    let n_hashes = rest[start..].iter().take_while(|&&b| b == b'#').count();
    let body = start + n_hashes;
    if rest.get(body) != Some(&b'"') {
        return Some(1);
    }
    let mut end = vec![b'"'];
    end.resize(1 + n_hashes, b'#');
    find(&rest[body + 1..], &end).map(|at| body + 1 + at + end.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::SourceKind;

    fn source(origin: &str, text: &str) -> TestSource {
        TestSource {
            origin: origin.to_owned(),
            kind: SourceKind::Written,
            path: None,
            text: text.to_owned(),
        }
    }

    #[test]
    fn each_source_is_a_module_and_what_would_break_the_others_is_dropped() {
        let suite = consolidate_rust(&[
            source("a", "#[test]\nfn x() {}\n"),
            source("b", "fn x() {}\n"),
            source("c", "#[test]\nfn x() { let s = \"}; }\n"),
            source("d", "#[test]\nfn x() {}"),
            source(
                "e",
                "#[tokio::test]\nasync fn y() { assert_eq!('}', '\\''); }\n",
            ),
        ]);
        let tests: Vec<&str> = suite.tests.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(tests, ["source_1", "source_2"]);
        let dropped: Vec<&str> = suite.dropped.iter().map(|d| d.origin.as_str()).collect();
        assert_eq!(dropped, ["b", "c", "d"]);
        assert_eq!(
            modules(&suite.text),
            [("source_1", 5, 8), ("source_2", 11, 14)]
        );
        let without = without_modules(&suite.text, &["source_1".to_owned()]);
        assert_eq!(modules(&without), [("source_2", 11, 14)]);
    }

    #[test]
    fn brackets_in_strings_comments_and_characters_do_not_count() {
        for text in [
            "fn f<'a>(x: &'a str) {}",
            "let x = '{';",
            "let x = 'é';",
            r#"let x = "\"{";"#,
            "let x = r#\"}\"}\"#;",
            "let r#type = br\"}\";",
            "/* { /* */ } ( */",
            "// }",
            "let c = '\\u{7d}';",
        ] {
            assert!(is_balanced(text), "{text}");
        }
        for text in ["fn f() {", "}", "(]", "\"", "/* /* */", "r#\"x\""] {
            assert!(!is_balanced(text), "{text}");
        }
    }
}
