//! Finding the place: an index of a repository's files that an issue is put to.
//!
//! `RepoView -> Index -> Located`: files and definitions, the likeliest first.
//!
//! [`Index`] holds each file's terms by field (path, defined names, code, prose), its
//! definitions and its imports, by one parse (`Syntax::outline`). [`Index::locate`] puts an
//! issue to it; [`Weights`] says as data how much each sign counts. `egss bench locate`
//! measures the weights on tasks with reference solutions and decodes nothing. [`Links`]
//! orders tests by their nearness to a change.
//!
//! An index is kept between runs (`kept.rs`), in `~/.cache/egss/index` or `$EGSS_INDEX_DIR`.
mod entry;
mod field;
mod issue;
mod kept;
mod links;
mod locate;
mod nearness;
mod repo;
mod terms;

pub use field::{Field, Weights};
pub use locate::{FoundFile, FoundSymbol, Located};
pub use nearness::{Links, Nearness};
pub(crate) use repo::FILE_BYTES_MAX;
pub use repo::{RepoFile, RepoView};

use entry::{Counts, Entry};
use rayon::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;
use terms::{Dictionary, Term};

/// An inverted index of a repository's files.
#[derive(Clone, Debug, Default)]
pub struct Index {
    /// In the order of the view's files.
    entries: Vec<Arc<Entry>>,
    /// By term, then by file.
    postings: Vec<(Term, u32, Counts)>,
    /// Terms of each field in a file, on average.
    average: [f32; Field::ALL.len()],
    /// Definitions by their names: the file, and its place among the file's definitions.
    defined: HashMap<String, Vec<(u32, u32)>>,
    /// Files of code by the ends of their modules' paths, two parts and more: `pkg/money`.
    modules: HashMap<String, Vec<u32>>,
    /// For each file the files that it leads to: those that it imports.
    imports: Vec<Vec<u32>>,
    /// For each test and page the files of the same name.
    namesakes: Vec<Vec<u32>>,
}

impl Index {
    /// Reads all files of a view. Cost: a parse of each file of code, on all cores.
    pub fn of(view: &RepoView) -> Self {
        Self::default().updated(view)
    }

    /// The index of a view that has mostly the same files: only those that differ are read.
    #[must_use]
    pub fn updated(&self, view: &RepoView) -> Self {
        let known: HashMap<u64, &Arc<Entry>> = self
            .entries
            .iter()
            .map(|entry| (entry.digest, entry))
            .collect();
        let entries: Vec<Arc<Entry>> = view
            .files
            .par_iter()
            .map_init(Dictionary::default, |dictionary, file| {
                let digest = entry::digest(file);
                match known.get(&digest) {
                    Some(same) => Arc::clone(same),
                    None => Arc::new(Entry::of(file, digest, dictionary)),
                }
            })
            .collect();
        let mut postings: Vec<(Term, u32, Counts)> = entries
            .par_iter()
            .enumerate()
            .flat_map_iter(|(file, entry)| {
                let terms = entry.terms.iter();
                terms.map(move |&(term, counts)| (term, file as u32, counts))
            })
            .collect();
        postings.par_sort_unstable_by_key(|&(term, file, _)| (term, file));
        let average = std::array::from_fn(|field| {
            let sum: f64 = entries
                .iter()
                .map(|entry| f64::from(entry.lengths[field]))
                .sum();
            (sum / entries.len().max(1) as f64).max(1.0) as f32
        });
        let mut defined: HashMap<String, Vec<(u32, u32)>> = HashMap::new();
        for (file, entry) in entries.iter().enumerate() {
            for (at, symbol) in entry.symbols.iter().enumerate() {
                let places = defined.entry(symbol.name.clone()).or_default();
                places.push((file as u32, at as u32));
            }
        }
        Self {
            defined,
            modules: links::modules(view),
            imports: links::imports(view, &entries),
            namesakes: links::namesakes(view),
            entries,
            postings,
            average,
        }
    }

    /// The files that hold a term, with its occurrences.
    fn holding(&self, term: Term) -> &[(Term, u32, Counts)] {
        let start = self.postings.partition_point(|&(held, _, _)| held < term);
        let n = self.postings[start..].partition_point(|&(held, _, _)| held == term);
        &self.postings[start..start + n]
    }
}
