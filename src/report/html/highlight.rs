//! Python's words, strings and comments, a line at a time: enough to read a
//! patch by, with nothing fetched.
use std::ops::Range;

/// What a piece of a line is; the CSS class is its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Keyword,
    Name,
    Text,
    Number,
    Comment,
}

impl Kind {
    pub fn class(self) -> &'static str {
        match self {
            Self::Keyword => "kw",
            Self::Name => "nm",
            Self::Text => "st",
            Self::Number => "nu",
            Self::Comment => "co",
        }
    }
}

const KEYWORDS: [&str; 38] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "case", "class",
    "continue", "def", "del", "elif", "else", "except", "finally", "for", "from", "global", "if",
    "import", "in", "is", "lambda", "match", "nonlocal", "not", "or", "pass", "raise", "return",
    "self", "try", "while", "with", "yield",
];

/// Reads lines one after the other; what a triple quote opened goes on.
#[derive(Default)]
pub struct Python {
    open: Option<&'static str>,
}

impl Python {
    /// The coloured pieces of a line, in order, as byte ranges.
    pub fn line(&mut self, line: &str) -> Vec<(Range<usize>, Kind)> {
        let mut found = Vec::new();
        let mut at = 0;
        let mut defines = false;
        if let Some(quotes) = self.open {
            at = self.close(line, 0, quotes);
            found.push((0..at, Kind::Text));
        }
        while let Some(c) = line[at..].chars().next() {
            let rest = &line[at..];
            let triple = ["\"\"\"", "'''"].into_iter().find(|q| rest.starts_with(q));
            let (end, kind) = if let Some(quotes) = triple {
                self.open = Some(quotes);
                (self.close(line, at + 3, quotes), Some(Kind::Text))
            } else if c == '"' || c == '\'' {
                (at + short_string(rest, c), Some(Kind::Text))
            } else if c == '#' {
                (line.len(), Some(Kind::Comment))
            } else if c.is_ascii_digit() {
                let is_in = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '_';
                (at + run(rest, is_in), Some(Kind::Number))
            } else if c.is_alphabetic() || c == '_' {
                let end = at + run(rest, |c| c.is_alphanumeric() || c == '_');
                let word = &line[at..end];
                let kind = match KEYWORDS.contains(&word) {
                    true => Some(Kind::Keyword),
                    false => defines.then_some(Kind::Name),
                };
                defines = matches!(word, "def" | "class");
                (end, kind)
            } else {
                (at + c.len_utf8(), None)
            };
            if let Some(kind) = kind {
                found.push((at..end, kind));
            }
            at = end;
        }
        found
    }

    /// Where a long string that is open at `from` ends, or the line's end.
    fn close(&mut self, line: &str, from: usize, quotes: &str) -> usize {
        match line[from..].find(quotes) {
            Some(at) => {
                self.open = None;
                from + at + quotes.len()
            }
            None => line.len(),
        }
    }
}

fn run(text: &str, is_in: impl Fn(char) -> bool) -> usize {
    text.find(|c| !is_in(c)).unwrap_or(text.len())
}

/// Length of a string that opens with `quote`; one that is not closed ends with
/// its line.
fn short_string(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
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

    fn read(python: &mut Python, line: &str) -> Vec<(String, Kind)> {
        let found = python.line(line).into_iter();
        found
            .map(|(at, kind)| (line[at].to_owned(), kind))
            .collect()
    }

    #[test]
    fn a_line_is_read_in_words_strings_and_comments() {
        let found = read(
            &mut Python::default(),
            "def café(x=1.5): return 'a\\'#b'  # né",
        );
        let found: Vec<(&str, Kind)> = found.iter().map(|(t, k)| (t.as_str(), *k)).collect();
        assert_eq!(
            found,
            [
                ("def", Kind::Keyword),
                ("café", Kind::Name),
                ("1.5", Kind::Number),
                ("return", Kind::Keyword),
                ("'a\\'#b'", Kind::Text),
                ("# né", Kind::Comment),
            ]
        );
    }

    #[test]
    fn a_long_string_goes_on_over_lines() {
        let mut python = Python::default();
        let one = |text: &str, kind| vec![(text.to_owned(), kind)];
        assert_eq!(read(&mut python, "\"\"\"Of."), one("\"\"\"Of.", Kind::Text));
        assert_eq!(read(&mut python, "if é"), one("if é", Kind::Text));
        let last = read(&mut python, "\"\"\" if");
        assert_eq!(last[0], ("\"\"\"".into(), Kind::Text));
        assert_eq!(last[1], ("if".into(), Kind::Keyword));
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
