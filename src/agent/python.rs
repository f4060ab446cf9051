//! Finds the functions and classes of a Python file by its layout.
//!
//! A scan, not a parse: it works on files that do not compile, and knows just
//! enough (strings, brackets, continued lines, indentation) not to be misled.
use std::ops::Range;

/// A function or class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    pub name: String,
    /// Names of the functions and classes around it and its own: `Class.method`.
    pub qualified: String,
    pub is_class: bool,
    /// Lines from 0, end excluded: decorators to the body's last line.
    pub lines: Range<usize>,
    /// The line of `def` or `class`.
    pub header: usize,
    /// The whitespace before `def` or `class`.
    pub indent: String,
    /// True within a function: a caller elsewhere cannot name it.
    pub is_local: bool,
}

/// How a physical line begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineStart {
    Blank,
    Comment,
    /// A statement begins here.
    Statement,
    /// Within brackets, or behind a backslash.
    Continued,
    /// Within a string of several lines.
    InString,
}

/// All functions and classes, in the order of their headers.
pub fn symbols(text: &str) -> Vec<Symbol> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found: Vec<Symbol> = Vec::new();
    // Indices into `found` of the symbols whose bodies we are in, with their indents.
    let mut open: Vec<(usize, usize)> = Vec::new();
    let mut decorated_from: Option<usize> = None;
    for (at, start) in line_starts(text).into_iter().enumerate() {
        let line = lines[at];
        let width = indent_width(line);
        match start {
            LineStart::Blank => continue,
            LineStart::Comment => {
                for &(symbol, indent) in &open {
                    if width > indent {
                        found[symbol].lines.end = at + 1;
                    }
                }
                continue;
            }
            LineStart::Continued | LineStart::InString => {}
            LineStart::Statement => {
                open.retain(|&(_, indent)| indent < width);
                let statement = line.trim_start();
                if statement.starts_with('@') {
                    decorated_from.get_or_insert(at);
                } else if let Some((is_class, name)) = header(statement) {
                    let around = open.last().map(|&(index, _)| &found[index]);
                    let qualified = match around {
                        Some(outer) => format!("{}.{name}", outer.qualified),
                        None => name.to_string(),
                    };
                    let is_local = around.is_some_and(|outer| outer.is_local || !outer.is_class);
                    open.push((found.len(), width));
                    found.push(Symbol {
                        name: name.to_string(),
                        qualified,
                        is_class,
                        lines: decorated_from.take().unwrap_or(at)..at + 1,
                        header: at,
                        indent: line[..line.len() - statement.len()].to_string(),
                        is_local,
                    });
                } else {
                    decorated_from = None;
                }
            }
        }
        for &(symbol, _) in &open {
            found[symbol].lines.end = at + 1;
        }
    }
    found
}

/// The kind and name of the definition that a statement is, if it is one.
fn header(statement: &str) -> Option<(bool, &str)> {
    let (is_class, rest) = match statement.strip_prefix("class ") {
        Some(rest) => (true, rest),
        None => {
            let plain = statement.strip_prefix("async ").unwrap_or(statement);
            (false, plain.trim_start().strip_prefix("def ")?)
        }
    };
    let rest = rest.trim_start();
    let end = rest
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(rest.len());
    (end > 0).then(|| (is_class, &rest[..end]))
}

/// Lines of the import statements at the left margin, from 0, end excluded.
pub(crate) fn imports(text: &str) -> Vec<Range<usize>> {
    let lines: Vec<&str> = text.lines().collect();
    let starts = line_starts(text);
    let mut found: Vec<Range<usize>> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let is_import = line.starts_with("import ") || line.starts_with("from ");
        match starts[at] {
            LineStart::Statement if is_import => found.push(at..at + 1),
            LineStart::Continued => {
                if let Some(last) = found.last_mut().filter(|last| last.end == at) {
                    last.end = at + 1;
                }
            }
            _ => {}
        }
    }
    found
}

/// How each physical line begins.
pub(crate) fn line_starts(text: &str) -> Vec<LineStart> {
    let mut starts = Vec::new();
    let mut depth = 0usize;
    let mut string: Option<(u8, bool)> = None; // quote, triple
    let mut continued = false;
    for line in text.lines() {
        let trimmed = line.trim_start();
        starts.push(match string {
            Some(_) => LineStart::InString,
            None if trimmed.is_empty() => LineStart::Blank,
            None if trimmed.starts_with('#') => LineStart::Comment,
            None if depth > 0 || continued => LineStart::Continued,
            None => LineStart::Statement,
        });
        let bytes = line.as_bytes();
        let mut at = 0;
        continued = false;
        while at < bytes.len() {
            let byte = bytes[at];
            match string {
                Some((quote, triple)) => {
                    if byte == b'\\' {
                        continued = at + 1 == bytes.len();
                        at += 1;
                    } else if byte == quote && !triple {
                        string = None;
                    } else if byte == quote && bytes[at..].starts_with(&[quote; 3]) {
                        string = None;
                        at += 2;
                    }
                }
                None => match byte {
                    b'#' => break,
                    b'"' | b'\'' => {
                        let triple = bytes[at..].starts_with(&[byte; 3]);
                        string = Some((byte, triple));
                        at += if triple { 2 } else { 0 };
                    }
                    b'(' | b'[' | b'{' => depth += 1,
                    b')' | b']' | b'}' => depth = depth.saturating_sub(1),
                    b'\\' if at + 1 == bytes.len() => continued = true,
                    _ => {}
                },
            }
            at += 1;
        }
        // A plain string ends with its line, unless a backslash carries it on.
        if matches!(string, Some((_, false))) && !continued {
            string = None;
        }
    }
    starts
}

/// Width of a line's indentation; a tab goes to the next multiple of eight,
/// as Python has it.
pub(crate) fn indent_width(line: &str) -> usize {
    let mut width = 0;
    for byte in line.bytes() {
        match byte {
            b' ' => width += 1,
            b'\t' => width = (width / 8 + 1) * 8,
            _ => break,
        }
    }
    width
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"import os
from a import (
    b,
)

X = """
def not_me():
    pass
"""


@cache
@other(
    1,
)
def first(a,
    b):
    """Doc.

def nor_me(): at the margin, in a string
    """
    def inner():
        return 1
    return inner()  # tail
    # a comment of the body

# a comment of the file
class Shape:
    side = 2

    @property
    def area(self):
        return self.side ** 2

    @area.setter
    def area(self, value):
        self.side = value

    async def wait(self): await x


if X:
    def late(): return "}"
"#;

    fn named(qualified: &str) -> Vec<Symbol> {
        let found = symbols(FILE).into_iter();
        found.filter(|s| s.qualified == qualified).collect()
    }

    #[test]
    fn definitions_are_found_with_their_whole_extent() {
        let names: Vec<_> = symbols(FILE).into_iter().map(|s| s.qualified).collect();
        assert_eq!(
            names,
            [
                "first",
                "first.inner",
                "Shape",
                "Shape.area",
                "Shape.area",
                "Shape.wait",
                "late"
            ]
        );
        let lines: Vec<&str> = FILE.lines().collect();
        let first = &named("first")[0];
        assert_eq!(lines[first.lines.start], "@cache");
        assert_eq!(lines[first.header], "def first(a,");
        assert_eq!(lines[first.lines.end - 1], "    # a comment of the body");
        let shape = &named("Shape")[0];
        assert_eq!(
            lines[shape.lines.end - 1],
            "    async def wait(self): await x"
        );
        let area = &named("Shape.area")[1];
        assert_eq!(lines[area.lines.start], "    @area.setter");
        assert_eq!((area.indent.as_str(), area.is_local), ("    ", false));
        assert!(named("first.inner")[0].is_local);
        assert_eq!(named("late")[0].lines.len(), 1);
    }

    #[test]
    fn imports_span_their_continued_lines() {
        assert_eq!(imports(FILE), [0..1, 1..4]);
    }

    #[test]
    fn a_file_that_does_not_compile_is_scanned_all_the_same() {
        let names: Vec<_> = symbols("def f(:\n    return 'x\n\ndef g():\n    pass\n")
            .into_iter()
            .map(|s| s.name)
            .collect();
        // The bracket that is never closed swallows what follows, no more.
        assert_eq!(names, ["f"]);
        assert!(symbols("").is_empty());
    }
}
