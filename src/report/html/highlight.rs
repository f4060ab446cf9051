//! Colours of a patch: the kinds of its words, and the words that changed.
use crate::lang::{self, TokenKind};
use std::ops::Range;

/// The coloured pieces of a line, in order, as byte ranges.
pub type Pieces = Vec<(Range<usize>, TokenKind)>;

/// The CSS class of a piece.
pub fn class(kind: TokenKind) -> &'static str {
    match kind {
        TokenKind::Keyword => "kw",
        TokenKind::Name => "nm",
        TokenKind::Text => "st",
        TokenKind::Number => "nu",
        TokenKind::Comment => "co",
    }
}

/// The coloured pieces of each of `lines`, which follow one another in the file at `path`.
pub fn colours(path: &str, lines: &[&str]) -> Vec<Pieces> {
    let mut pieces = vec![Pieces::new(); lines.len()];
    let Some(syntax) = lang::of_path(path).syntax() else {
        return pieces;
    };
    let text = lines.join("\n");
    let mut tokens = syntax.tokens(&text).into_iter().peekable();
    let mut start = 0;
    for (line, pieces) in lines.iter().zip(&mut pieces) {
        let end = start + line.len();
        // A piece of several lines goes on in the next.
        while let Some((range, kind)) = tokens.peek().cloned() {
            if range.start >= end {
                break;
            }
            let within = range.start.max(start)..range.end.min(end);
            if !within.is_empty() {
                pieces.push((within.start - start..within.end - start, kind));
            }
            if range.end > end {
                break;
            }
            tokens.next();
        }
        start = end + 1;
    }
    pieces
}

/// What two lines do not share, as a byte range of each: from the first word
/// that differs to the last. `None` where so little is shared that one is no
/// change of the other.
pub fn changed(old: &str, new: &str) -> Option<(Range<usize>, Range<usize>)> {
    let (old_words, new_words) = (words(old), words(new));
    let head = pairs(old_words.iter().zip(&new_words));
    let left = old_words.len().min(new_words.len()) - head;
    let tail = pairs(old_words.iter().rev().zip(new_words.iter().rev())).min(left);
    let bytes = |words: &[&str]| words.iter().map(|word| word.len()).sum::<usize>();
    let shared = bytes(&old_words[..head]) + bytes(&old_words[old_words.len() - tail..]);
    let blank = old.len() - old.trim_start().len();
    let range = |words: &[&str], line: &str| {
        bytes(&words[..head])..line.len() - bytes(&words[words.len() - tail..])
    };
    let is_change = shared > blank && 2 * shared >= old.len().min(new.len());
    is_change.then(|| (range(&old_words, old), range(&new_words, new)))
}

fn pairs<'a>(pairs: impl Iterator<Item = (&'a &'a str, &'a &'a str)>) -> usize {
    pairs.take_while(|(a, b)| a == b).count()
}

fn run(text: &str, is_in: impl Fn(char) -> bool) -> usize {
    text.find(|c| !is_in(c)).unwrap_or(text.len())
}

/// Words and the single characters between them; joined they are the line.
fn words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(c) = line[at..].chars().next() {
        let n = match run(&line[at..], |c| c.is_alphanumeric() || c == '_') {
            0 => c.len_utf8(),
            n => n,
        };
        words.push(&line[at..at + n]);
        at += n;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_is_coloured_in_each_of_its_lines() {
        let lines = ["x = \"\"\"Of.", "", "if é\"\"\"", "if x: pass"];
        let pieces = colours("a.py", &lines);
        let text = TokenKind::Text;
        assert_eq!(pieces[0], [(4..10, text)]);
        assert_eq!(pieces[1], []);
        assert_eq!(pieces[2], [(0..8, text)]);
        assert_eq!(pieces[3][0], (0..2, TokenKind::Keyword));
        assert_eq!(colours("a.txt", &lines), vec![Pieces::new(); 4]);
    }

    #[test]
    fn changed_words_are_found_and_other_lines_are_not_compared() {
        let (old, new) = ("    if day < last:", "    if day <= last:");
        let (a, b) = changed(old, new).unwrap();
        assert_eq!((&old[a], &new[b]), ("", "="));
        let (a, b) = changed("x = né + 1", "x = non + 1").unwrap();
        assert_eq!((&"x = né + 1"[a], &"x = non + 1"[b]), ("né", "non"));
        assert_eq!(changed("    return total", "    if wrong:"), None);
        let same = changed("same", "same").unwrap();
        assert!(same.0.is_empty() && same.1.is_empty());
        let (a, b) = changed("aa", "aaa aa").unwrap_or((0..0, 0..0));
        assert!(a.end <= 2 && b.end <= 6);
    }
}
