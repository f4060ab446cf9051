//! Which tokens are syntax: what a language asks for wherever the thought goes.

/// Words of Python and Rust that a line of code cannot do without. Names, literals and
/// prose are content.
const KEYWORDS: [&str; 53] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "const",
    "continue", "crate", "def", "del", "elif", "else", "enum", "except", "false", "finally", "fn",
    "for", "from", "global", "if", "impl", "import", "in", "is", "lambda", "let", "loop", "match",
    "mod", "mut", "nonlocal", "not", "or", "pass", "pub", "raise", "return", "self", "struct",
    "trait", "true", "try", "use", "where", "while", "with", "yield",
];

/// True where a token's text is only white space and punctuation, or a keyword with
/// such around it. A piece of a longer name that looks like a keyword counts as one:
/// a token does not know what stands beside it.
pub(super) fn is_syntax(piece: &str) -> bool {
    let word = piece.trim_matches(|c: char| !c.is_alphanumeric() && c != '_');
    word.is_empty() || KEYWORDS.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn punctuation_white_space_and_keywords_are_syntax_and_names_are_not() {
        for piece in [
            "", " ", "\n    ", "\":\n", " ==", ")\n", " return", "(self", " not", " if",
        ] {
            assert!(is_syntax(piece), "{piece:?}");
        }
        for piece in [
            " path",
            "(parent",
            ".startswith",
            "_",
            " 3",
            "ised",
            "é",
            " returned",
        ] {
            assert!(!is_syntax(piece), "{piece:?}");
        }
        assert!(KEYWORDS.is_sorted());
    }
}
