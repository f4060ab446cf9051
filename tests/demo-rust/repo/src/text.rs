//! Columns of text.

/// What stands for the rest of a text that is cut.
const CUT: &str = "~";

/// A text in a column of `width` characters: filled up with spaces, or cut.
pub fn column(text: &str, width: usize) -> String {
    let length = text.len();
    if length > width {
        return format!("{}{CUT}", &text[..width - CUT.len()]);
    }
    format!("{text}{}", " ".repeat(width - length))
}

/// The texts side by side, each in a column of its width, without spaces at the
/// end of the line.
pub fn row(cells: &[(&str, usize)]) -> String {
    let columns: Vec<String> = cells
        .iter()
        .map(|&(text, width)| column(text, width))
        .collect();
    columns.join("  ").trim_end().to_owned()
}
