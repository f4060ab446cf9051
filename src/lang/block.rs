//! Blocks of code moved in and out of their indentation.
use super::syntax::indent_width;
use super::{Language, LineStart};

/// How each line of `code` begins; in plain text every written line is a statement.
pub(crate) fn line_starts(language: &dyn Language, code: &str) -> Vec<LineStart> {
    match language.syntax() {
        Some(syntax) => syntax.line_starts(code),
        None => {
            let blank = |line: &str| line.trim().is_empty();
            let start = |line| match blank(line) {
                true => LineStart::Blank,
                false => LineStart::Statement,
            };
            code.lines().map(start).collect()
        }
    }
}

/// Lines with a line end behind each.
pub(super) fn joined(lines: &[&str]) -> String {
    let mut text = lines.join("\n");
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// `code` with the indentation of its least indented statement taken off.
/// Lines within strings lose as much, as far as they have it.
pub(crate) fn dedent(language: &dyn Language, code: &str) -> String {
    let starts = line_starts(language, code);
    let least = code
        .lines()
        .zip(&starts)
        .filter(|(_, start)| **start == LineStart::Statement)
        .map(|(line, _)| indent_width(line))
        .min()
        .unwrap_or(0);
    let cut = |line: &str| {
        let blank = line.len() - line.trim_start_matches([' ', '\t']).len();
        let at = (0..=blank).find(|&at| indent_width(&line[..at]) >= least);
        line[at.unwrap_or(blank)..].to_string()
    };
    let lines: Vec<String> = code.lines().map(cut).collect();
    joined(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Dedented `code` with `indent` before each line. A string's line at the
/// very margin stays there: it was written so on purpose.
pub(crate) fn indented(language: &dyn Language, code: &str, indent: &str) -> String {
    let starts = line_starts(language, code);
    let lines: Vec<String> = code
        .lines()
        .zip(&starts)
        .map(|(line, start)| {
            let at_margin = *start == LineStart::InString && !line.starts_with([' ', '\t']);
            if line.trim().is_empty() || at_margin {
                line.to_string()
            } else {
                format!("{indent}{line}")
            }
        })
        .collect();
    joined(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}
