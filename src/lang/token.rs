//! The words of source code by their kind, for colours: read off the syntax tree, so that
//! no list of keywords is kept for any language.
use super::syntax::Syntax;
use std::ops::Range;
use tree_sitter::Node;

/// The kind of a piece of source code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    Keyword,
    /// The name of a function or type, where it is defined.
    Name,
    /// A string or a character.
    Text,
    Number,
    Comment,
}

impl Syntax {
    /// The pieces of `text` that have a kind, in order, as byte ranges that do not overlap.
    /// A piece of a file will do: what does not parse keeps the kinds of its words.
    pub fn tokens(&self, text: &str) -> Vec<(Range<usize>, TokenKind)> {
        let mut found = Vec::new();
        if let Some(tree) = self.tree(text) {
            self.visit_tokens(tree.root_node(), text, &mut found);
        }
        found
    }

    /// Walks the tree without recursion: code may be nested as deep as it likes.
    fn visit_tokens(&self, root: Node<'_>, text: &str, found: &mut Vec<(Range<usize>, TokenKind)>) {
        let mut names: Vec<Range<usize>> = Vec::new();
        let mut cursor = root.walk();
        loop {
            let node = cursor.node();
            if let Some(name) = (self.definition)(node, text).and_then(|d| place_in(text, d.name)) {
                names.push(name);
            }
            let kind = self.kind_of(node, text);
            let is_taken = kind.is_some() || node.child_count() == 0;
            if is_taken && !node.byte_range().is_empty() {
                let is_name = || names.contains(&node.byte_range());
                let kind = kind.or_else(|| is_name().then_some(TokenKind::Name));
                found.extend(kind.map(|kind| (node.byte_range(), kind)));
            }
            if !is_taken && cursor.goto_first_child() {
                continue;
            }
            while !cursor.goto_next_sibling() {
                if !cursor.goto_parent() {
                    return;
                }
            }
        }
    }

    /// The kind of a node as a whole; `None` for one that is to be entered.
    fn kind_of(&self, node: Node<'_>, text: &str) -> Option<TokenKind> {
        let kind = node.kind();
        if self.comments.contains(&kind) {
            return Some(TokenKind::Comment);
        }
        let is_text = |part: &str| matches!(part, "string" | "char" | "character" | "rune");
        if node.is_named() && kind.split('_').any(is_text) {
            return Some(TokenKind::Text);
        }
        if node.child_count() > 0 {
            return None;
        }
        let word = text.get(node.byte_range())?;
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            return Some(TokenKind::Number);
        }
        // Grammars call a keyword by itself: `return`, and `none` for `None`.
        let is_word = word.chars().all(|c| c.is_alphabetic() || c == '_');
        (is_word && !word.is_empty() && kind.eq_ignore_ascii_case(word))
            .then_some(TokenKind::Keyword)
    }
}

/// The place of `part`, a slice of `text`, in it.
fn place_in(text: &str, part: &str) -> Option<Range<usize>> {
    let start = (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    (start + part.len() <= text.len()).then_some(start..start + part.len())
}

#[cfg(test)]
mod tests {
    use crate::lang::{TokenKind, of_path};

    fn tokens<'a>(path: &str, text: &'a str) -> Vec<(&'a str, TokenKind)> {
        let found = of_path(path).syntax().unwrap().tokens(text).into_iter();
        found.map(|(at, kind)| (&text[at], kind)).collect()
    }

    #[test]
    fn words_of_every_language_have_their_kinds() {
        use TokenKind::{Comment, Keyword, Name, Number, Text};
        assert_eq!(
            tokens("a.py", "def café(x=1.5): return 'a\\'#b', None  # né\n"),
            [
                ("def", Keyword),
                ("café", Name),
                ("1.5", Number),
                ("return", Keyword),
                ("'a\\'#b'", Text),
                ("None", Keyword),
                ("# né", Comment),
            ]
        );
        assert_eq!(
            tokens("a.rs", "// f\nfn area(x: f64) -> f64 { return x * 2.0; }\n"),
            [
                ("// f", Comment),
                ("fn", Keyword),
                ("area", Name),
                ("return", Keyword),
                ("2.0", Number),
            ]
        );
        assert_eq!(
            tokens("a.js", "function area(x) { return `w ${x}`; } // f\n"),
            [
                ("function", Keyword),
                ("area", Name),
                ("return", Keyword),
                ("`w ${x}`", Text),
                ("// f", Comment),
            ]
        );
        assert_eq!(
            tokens("a.go", "func area() string { return \"a\" }\n"),
            [
                ("func", Keyword),
                ("area", Name),
                ("return", Keyword),
                ("\"a\"", Text),
            ]
        );
        let java = tokens("A.java", "class A { char c() { return 'c'; } }\n");
        assert!(java.contains(&("class", Keyword)) && java.contains(&("'c'", Text)));
        assert!(java.contains(&("A", Name)));
    }

    #[test]
    fn a_piece_that_does_not_parse_keeps_the_kinds_of_its_words() {
        let found = tokens("a.py", "        if day < 31:\n    return day\n  else\n");
        assert!(found.contains(&("if", TokenKind::Keyword)), "{found:?}");
        assert!(found.contains(&("31", TokenKind::Number)), "{found:?}");
    }

    #[test]
    fn a_string_of_several_lines_is_one_piece() {
        let found = tokens("a.py", "x = \"\"\"Of.\nif é\n\"\"\"\nif x: pass\n");
        assert_eq!(found[0], ("\"\"\"Of.\nif é\n\"\"\"", TokenKind::Text));
        assert_eq!(found[1], ("if", TokenKind::Keyword));
    }
}
