//! Blocks of code moved in and out of their indentation.
use super::syntax::indent_width;
use super::{Language, LineStart};
use std::collections::BTreeMap;

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

/// `code` with the indentation of `file` from one level to the next in the place of its own, where
/// both have one and every statement of the code is indented by whole levels. Strings of several
/// lines stay as they are.
pub(crate) fn in_unit_of(language: &dyn Language, file: &str, code: &str) -> String {
    if !language.is_code() {
        return code.to_owned();
    }
    let (Some(from), Some(to)) = (unit(language, code), unit(language, file)) else {
        return code.to_owned();
    };
    in_unit(language, code, &from, &to)
}

/// `code` with `to` for each `from` that a line begins with.
pub(crate) fn in_unit(language: &dyn Language, code: &str, from: &str, to: &str) -> String {
    let levels = |line: &str| {
        let rest = line.trim_start_matches(from);
        ((line.len() - rest.len()) / from.len(), rest.to_owned())
    };
    let starts = line_starts(language, code);
    let mut lines = Vec::with_capacity(starts.len());
    for (line, start) in code.lines().zip(starts) {
        let (n_levels, rest) = levels(line);
        if start == LineStart::Statement && rest.starts_with([' ', '\t']) {
            return code.to_owned();
        }
        lines.push(match start {
            LineStart::InString => line.to_owned(),
            _ => to.repeat(n_levels) + &rest,
        });
    }
    joined(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The indentation that most statements have beyond the one around them.
pub(crate) fn unit(language: &dyn Language, code: &str) -> Option<String> {
    let starts = line_starts(language, code);
    let lines = code.lines().zip(starts);
    let statements = lines.filter(|(_, start)| *start == LineStart::Statement);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut around: Option<&str> = None;
    for (line, _) in statements {
        let indent = &line[..line.len() - line.trim_start_matches([' ', '\t']).len()];
        let step = around.and_then(|around| indent.strip_prefix(around));
        if let Some(step) = step.filter(|step| !step.is_empty()) {
            *counts.entry(step).or_default() += 1;
        }
        around = Some(indent);
    }
    let n_steps: usize = counts.values().sum();
    let (most, n_most) = counts.into_iter().max_by_key(|(_, n)| *n)?;
    (2 * n_most > n_steps).then(|| most.to_owned())
}
