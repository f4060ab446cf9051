//! Lines of a file with their numbers.

/// Lines with their numbers, `first_line` counted from 0.
pub(crate) fn numbered(text: &str, first_line: usize) -> String {
    let lines = text.lines().enumerate();
    lines
        .map(|(at, line)| format!("{}| {line}\n", first_line + at + 1))
        .collect()
}
