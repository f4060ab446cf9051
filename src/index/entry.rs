//! One file, as the index holds it.
use super::field::Field;
use super::repo::RepoFile;
use super::terms::{Dictionary, Term, words};
use crate::lang::Symbol;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

/// Plain text above this is data, not a page that somebody wrote.
const PAGE_BYTES_MAX: usize = 200_000;

/// Endings of pages and settings. Of other plain text (catalogues of messages, tables) there may
/// be thousands of files, and an issue is seldom about their words.
const PAGE_ENDINGS: [&str; 12] = [
    "adoc", "cfg", "html", "in", "ini", "md", "org", "rst", "toml", "txt", "yaml", "yml",
];

fn is_page(path: &str, text: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_known = match name.rsplit_once('.') {
        Some((_, ending)) => PAGE_ENDINGS.contains(&ending.to_lowercase().as_str()),
        // README, LICENSE, Makefile.
        None => true,
    };
    is_known && text.len() <= PAGE_BYTES_MAX
}

/// Occurrences of a term in each field of [`Field::ALL`].
pub(super) type Counts = [u16; Field::ALL.len()];

/// A file's terms, definitions and imports.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Of its path and text: equal files have equal entries.
    pub digest: u64,
    /// By term.
    pub terms: Vec<(Term, Counts)>,
    /// Terms of each field.
    pub lengths: [u32; Field::ALL.len()],
    pub symbols: Vec<Symbol>,
    /// The words of its import statements.
    pub imported: BTreeSet<String>,
}

pub(super) fn digest(file: &RepoFile) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&file.path, &file.text).hash(&mut hasher);
    hasher.finish()
}

impl Entry {
    pub fn of(file: &RepoFile, digest: u64, dictionary: &mut Dictionary) -> Self {
        let text = file.text.as_deref().unwrap_or_default();
        let outline = file.language().syntax().map(|syntax| syntax.outline(text));
        let mut counts: HashMap<&str, [u32; Field::ALL.len()]> = HashMap::new();
        let mut count = |text, field: Field| count(text, field, &mut counts);
        count(&file.path, Field::Path);
        let mut imported = BTreeSet::new();
        match &outline {
            None if is_page(&file.path, text) => count(text, Field::Prose),
            None => {}
            Some(outline) => {
                for symbol in &outline.symbols {
                    count(&symbol.name, Field::Names);
                }
                let mut at = 0;
                for range in &outline.prose {
                    count(&text[at..range.start.max(at)], Field::Code);
                    count(&text[range.start.max(at)..range.end], Field::Prose);
                    at = range.end;
                }
                count(&text[at..], Field::Code);
                imported = imported_words(text, &outline.imports);
            }
        }
        let mut terms: HashMap<Term, Counts> = HashMap::new();
        let mut lengths = [0; Field::ALL.len()];
        for (word, counts) in counts {
            for &term in dictionary.terms(word) {
                let held = terms.entry(term).or_default();
                for (field, n) in counts.into_iter().enumerate() {
                    held[field] = held[field].saturating_add(u16::try_from(n).unwrap_or(u16::MAX));
                    lengths[field] += n;
                }
            }
        }
        let symbols = outline.map_or(Vec::new(), |outline| outline.symbols);
        let mut terms: Vec<(Term, Counts)> = terms.into_iter().collect();
        terms.sort_unstable_by_key(|(term, _)| *term);
        Self {
            digest,
            terms,
            lengths,
            symbols,
            imported,
        }
    }
}

fn count<'a>(text: &'a str, field: Field, counts: &mut HashMap<&'a str, [u32; Field::ALL.len()]>) {
    for word in words(text) {
        counts.entry(word).or_default()[field as usize] += 1;
    }
}

fn imported_words(text: &str, imports: &[Range<usize>]) -> BTreeSet<String> {
    let lines: Vec<&str> = text.lines().collect();
    let lines_of = |range: &Range<usize>| &lines[range.start..range.end.min(lines.len())];
    let statements = imports.iter().flat_map(lines_of);
    let all = statements.flat_map(|line| words(line));
    all.map(str::to_owned).collect()
}
