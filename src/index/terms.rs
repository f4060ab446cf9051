//! Text as terms: identifiers whole and in parts, words by their stems.
use rust_stemmers::{Algorithm, Stemmer};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

/// A term's digest. The same in every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Term(u64);

impl Term {
    fn of(text: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        Self(hasher.finish())
    }

    pub(super) fn to_bytes(self) -> [u8; 8] {
        self.0.to_le_bytes()
    }
}

/// Characters of a word that is looked at: longer ones are data.
const WORD_CHARS_MAX: usize = 64;

/// Words of prose that say nothing of a place.
const STOP_WORDS: &str = " a about above after again all also am an and any are as at be because \
    been before being below between both but by can cannot could did do does doing don down during \
    each few for from further get got had has have having he her here hers him his how however i if \
    in into is it its itself just let like ll may me might more most much must my myself no nor not \
    now of off on once one only or other our out over own re s same she should so some such t than \
    that the their them then there these they this those though through to too under until up us use \
    used using ve very was we were what when where which while who why will with would you your ";

/// Words of a text: letters, digits and underscores.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|word| !word.is_empty() && word.len() <= WORD_CHARS_MAX)
}

/// True for a word that is written as names in code are: with an underscore or a digit in it, or a
/// capital behind another letter.
pub(super) fn is_name(word: &str) -> bool {
    let inner = word.trim_matches('_');
    let is_camel = inner
        .chars()
        .zip(inner.chars().skip(1))
        .any(|(a, b)| a.is_lowercase() && b.is_uppercase());
    let has_digit =
        inner.chars().any(char::is_alphabetic) && inner.chars().any(|c| c.is_ascii_digit());
    inner.contains('_') || word.starts_with('_') || is_camel || has_digit
}

/// The parts of an identifier in small letters: `parseHTTPHeader_2` is `parse`, `http`, `header`.
pub(super) fn parts(word: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut part = String::new();
    let chars: Vec<char> = word.chars().collect();
    for (at, &c) in chars.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| chars[at]);
        let next = chars.get(at + 1);
        let begins = match before {
            Some(before) if c.is_uppercase() => {
                !before.is_uppercase() || next.is_some_and(|next| next.is_lowercase())
            }
            Some(before) => c.is_ascii_digit() != before.is_ascii_digit(),
            None => false,
        };
        if (begins || !c.is_alphanumeric()) && !part.is_empty() {
            parts.push(std::mem::take(&mut part));
        }
        if c.is_alphanumeric() {
            part.extend(c.to_lowercase());
        }
    }
    parts.extend((!part.is_empty()).then_some(part));
    parts.retain(|part| part.len() > 1 && !part.chars().all(|c| c.is_ascii_digit()));
    parts
}

/// The terms of one word: its parts' stems, and the whole of it where it has several.
pub(super) fn terms(word: &str) -> Vec<Term> {
    static STEMMER: LazyLock<Stemmer> = LazyLock::new(|| Stemmer::create(Algorithm::English));
    let parts = parts(word);
    let mut terms: Vec<Term> = parts
        .iter()
        .filter(|part| !STOP_WORDS.contains(&format!(" {part} ")))
        .map(|part| Term::of(&STEMMER.stem(part)))
        .collect();
    if parts.len() > 1 {
        terms.push(whole(word));
    }
    terms
}

/// The term of an identifier as a whole.
pub(super) fn whole(word: &str) -> Term {
    Term::of(&format!("={}", word.trim_matches('_')))
}

/// The terms of the words that it has met: most words of a repository are met often.
#[derive(Default)]
pub(super) struct Dictionary(HashMap<String, Box<[Term]>>);

impl Dictionary {
    pub fn terms(&mut self, word: &str) -> &[Term] {
        // Looked up twice, so that a known word is not copied.
        if !self.0.contains_key(word) {
            self.0.insert(word.to_owned(), terms(word).into());
        }
        &self.0[word]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_taken_apart_and_words_brought_to_their_stems() {
        assert_eq!(parts("parseHTTPHeader_2"), ["parse", "http", "header"]);
        assert_eq!(parts("__init__"), ["init"]);
        assert_eq!(parts("utf8_name"), ["utf", "name"]);
        assert_eq!(terms("parsing"), terms("parsed"));
        assert!(terms("the").is_empty());
        assert_eq!(terms("read_file").len(), 3);
        assert_ne!(whole("readfile"), terms("readfile")[0]);
        for (word, is) in [
            ("read_file", true),
            ("readFile", true),
            ("_private", true),
            ("Matrix", false),
            ("utf8", true),
            ("2024", false),
            ("file", false),
        ] {
            assert_eq!(is_name(word), is, "{word}");
        }
    }
}
