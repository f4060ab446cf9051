//! An issue put to the index: BM25 over fields, the names and places that the issue has, and the
//! links between files.
//!
//! The score of a file is BM25 over its fields, with more weight for words of the title and
//! inline code. Paths, lines of tracebacks, dotted modules and defined names that the issue
//! has add to it. A file gets a share of the score of likely files that import it. A test or
//! a page gets a share of the score of the code that it is named after.
use super::Index;
use super::field::Weights;
use super::issue::{Asked, asked};
use super::repo::RepoView;
use super::terms::{Term, terms, words};
use crate::lang::Symbol;
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

/// Files whose links are followed, the likeliest first.
const LINKED_FROM_MAX: usize = 200;
/// Files whose definitions are looked at, the likeliest first.
const LOOKED_INTO_MAX: usize = 60;
/// Of a definition's own name where it is only a word of the issue.
const WORD_SHARE: f32 = 0.25;
/// Words of a definition on average: longer ones hold more by their length alone.
const BODY_WORDS_MEAN: f32 = 80.0;

/// A file by its place in the view.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FoundFile {
    pub file: usize,
    pub score: f32,
}

/// A function or a type of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundSymbol {
    /// The file's place in the view.
    pub file: usize,
    pub symbol: Symbol,
    pub score: f32,
}

/// Places for an issue, the likeliest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Located {
    /// All text files; those for which nothing speaks come last, in the order of their paths.
    pub files: Vec<FoundFile>,
    /// Definitions of the likeliest files of code that no test is.
    pub symbols: Vec<FoundSymbol>,
}

impl Index {
    /// The likeliest places for `issue` in `view`, which is the view that was indexed.
    pub fn locate(&self, view: &RepoView, issue: &str, weights: &Weights) -> Located {
        let asked = asked(issue, weights);
        let idf: HashMap<Term, f32> = asked
            .terms
            .keys()
            .map(|&term| (term, self.idf(term)))
            .collect();
        let mut own = vec![0.0f32; view.files.len()];
        for (&term, &weight) in &asked.terms {
            for &(_, file, counts) in self.holding(term) {
                let tf = self.frequency(file, &counts.map(f32::from), weights);
                own[file as usize] += weight * idf[&term] * tf / (weights.saturation + tf);
            }
        }
        let lines = self.add_places(&asked, view, weights, &mut own);
        self.add_names(&asked, view, weights, &mut own);
        let linked = self.linked(view, weights, &own);
        let factor = |at: usize| match &view.files[at] {
            file if !file.language().is_code() => weights.text,
            file if file.is_test() => weights.test,
            _ => 1.0,
        };
        let score = |at: usize| factor(at) * own[at] + linked[at];
        let mut files: Vec<FoundFile> = (0..view.files.len())
            .filter(|&file| view.files[file].text.is_some())
            .map(|file| FoundFile {
                file,
                score: score(file),
            })
            .collect();
        files.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.file.cmp(&b.file)));
        let likely: Vec<&FoundFile> = files
            .iter()
            .filter(|found| found.score > 0.0 && view.files[found.file].is_source())
            .take(LOOKED_INTO_MAX)
            .collect();
        let mut symbols: Vec<FoundSymbol> = likely
            .par_iter()
            .flat_map_iter(|found| self.symbols(&asked, &idf, view, found, &lines, weights))
            .collect();
        symbols.sort_by(|a, b| {
            let by_place = (a.file, a.symbol.header).cmp(&(b.file, b.symbol.header));
            b.score.total_cmp(&a.score).then(by_place)
        });
        Located { files, symbols }
    }

    fn idf(&self, term: Term) -> f32 {
        let (n, with) = (self.entries.len() as f32, self.holding(term).len() as f32);
        (1.0 + (n - with + 0.5) / (with + 0.5)).ln()
    }

    fn frequency(&self, file: u32, counts: &[f32; 4], weights: &Weights) -> f32 {
        let lengths = &self.entries[file as usize].lengths;
        let fields = counts
            .iter()
            .zip(lengths)
            .zip(&self.average)
            .zip(&weights.fields);
        // A field without any word has no length to divide by.
        let held = fields.filter(|(((n, _), _), _)| **n > 0.0);
        held.map(|(((n, &length), average), weight)| {
            weight * n / (1.0 - weights.length + weights.length * length as f32 / average)
        })
        .sum()
    }

    /// Adds to files that are named by their paths; the lines that are named in them.
    fn add_places(
        &self,
        asked: &Asked,
        view: &RepoView,
        weights: &Weights,
        scores: &mut [f32],
    ) -> Vec<(usize, usize)> {
        let mut lines = Vec::new();
        let mut given: BTreeMap<usize, f32> = BTreeMap::new();
        for (path, line) in &asked.places {
            let is_below = |long: &str, short: &str| {
                let rest = long.strip_suffix(short);
                rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
            };
            let mut named: Vec<usize> = (0..view.files.len())
                .filter(|&at| {
                    is_below(&view.files[at].path, path) || is_below(path, &view.files[at].path)
                })
                .collect();
            // Of a path from another machine the longest end that is one here.
            let depth = |at: &usize| view.files[*at].path.matches('/').count();
            let is_exact = |at: &usize| is_below(path, &view.files[*at].path);
            if named.iter().any(is_exact) {
                let deepest = named.iter().filter(|at| is_exact(at)).map(depth).max();
                named.retain(|at| is_exact(at) && Some(depth(at)) == deepest);
            }
            let n = named.len() as f32;
            for at in named {
                let weight = match line {
                    Some(line) => {
                        lines.push((at, line.saturating_sub(1)));
                        weights.named_line
                    }
                    None => weights.named_path,
                };
                let held = given.entry(at).or_default();
                *held = held.max(weight / n);
            }
        }
        for (at, weight) in given {
            scores[at] += weight;
        }
        lines
    }

    /// Adds to files that define what the issue names, and to modules that it names.
    fn add_names(&self, asked: &Asked, view: &RepoView, weights: &Weights, scores: &mut [f32]) {
        let defining = |name: &str| -> Vec<(u32, u32)> {
            let all = self.defined.get(name).into_iter().flatten().copied();
            all.filter(|(file, _)| !view.files[*file as usize].is_test())
                .collect()
        };
        for (name, &is_code) in &asked.names {
            let found = defining(name);
            let files: HashSet<u32> = found.iter().map(|(file, _)| *file).collect();
            let weight = if is_code {
                weights.defined
            } else {
                weights.defined_word
            };
            for &file in &files {
                scores[file as usize] += weight / (files.len() as f32).sqrt();
            }
        }
        let mut modules: HashMap<usize, f32> = HashMap::new();
        for parts in &asked.dotted {
            // `Type.member`
            let (last, holder) = (&parts[parts.len() - 1], &parts[parts.len() - 2]);
            let tail = format!("{holder}.{last}");
            let members: HashSet<u32> = defining(last)
                .into_iter()
                .filter(|&(file, symbol)| {
                    let qualified = &self.entries[file as usize].symbols[symbol as usize].qualified;
                    qualified == &tail || qualified.ends_with(&format!(".{tail}"))
                })
                .map(|(file, _)| file)
                .collect();
            for &file in &members {
                scores[file as usize] += weights.defined / (members.len() as f32).sqrt();
            }
            // `package.module`, and what is in it.
            for k in (2..=parts.len()).rev() {
                let named = self.modules.get(&parts[..k].join("/"));
                let Some(named) = named else { continue };
                for &file in named {
                    let held = modules.entry(file as usize).or_default();
                    *held = held.max(weights.named_module / named.len() as f32);
                }
                break;
            }
        }
        for (file, weight) in modules {
            scores[file] += weight;
        }
    }

    /// The files' shares of what speaks for files that lead to them.
    fn linked(&self, view: &RepoView, weights: &Weights, own: &[f32]) -> Vec<f32> {
        let mut linked = vec![0.0f32; own.len()];
        let mut from: Vec<usize> = (0..own.len()).filter(|&at| own[at] > 0.0).collect();
        from.sort_by(|&a, &b| own[b].total_cmp(&own[a]).then(a.cmp(&b)));
        for from in from.into_iter().take(LINKED_FROM_MAX) {
            let shares = [
                (weights.imported, &self.imports[from]),
                (weights.namesake, &self.namesakes[from]),
            ];
            for (share, to) in shares {
                for &to in to {
                    let to = to as usize;
                    if view.files[to].is_source() {
                        linked[to] = linked[to].max(share * own[from]);
                    }
                }
            }
        }
        linked
    }

    fn symbols(
        &self,
        asked: &Asked,
        idf: &HashMap<Term, f32>,
        view: &RepoView,
        found: &FoundFile,
        lines: &[(usize, usize)],
        weights: &Weights,
    ) -> Vec<FoundSymbol> {
        let text = view.files[found.file].text.as_deref().unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        let symbols = &self.entries[found.file].symbols;
        let outer: Vec<&Symbol> = symbols.iter().filter(|symbol| !symbol.is_local).collect();
        let innermost = |line: usize| {
            let around = outer.iter().filter(|symbol| symbol.lines.contains(&line));
            around.min_by_key(|symbol| symbol.lines.len())
        };
        let named: Vec<&&Symbol> = lines
            .iter()
            .filter(|(file, _)| *file == found.file)
            .filter_map(|(_, line)| innermost(*line))
            .collect();
        // Of each word those of its terms that are asked for.
        let mut terms_of: HashMap<&str, Vec<Term>> = HashMap::new();
        let mut score = |symbol: &Symbol| {
            let (mut counts, mut length) = (HashMap::<Term, u32>::new(), 0);
            for line in own_lines(symbol, &outer) {
                for word in words(all.get(line).copied().unwrap_or_default()) {
                    length += 1;
                    let asked_terms = terms_of.entry(word).or_insert_with(|| {
                        let terms = terms(word).into_iter();
                        terms
                            .filter(|term| asked.terms.contains_key(term))
                            .collect()
                    });
                    for &term in asked_terms.iter() {
                        *counts.entry(term).or_default() += 1;
                    }
                }
            }
            let norm = 1.0 - weights.length + weights.length * length as f32 / BODY_WORDS_MEAN;
            // In one order: sums of floats hang on it.
            let mut counts: Vec<(Term, u32)> = counts.into_iter().collect();
            counts.sort_unstable();
            let of_term = |(term, n): (Term, u32)| {
                let tf = n as f32 / norm;
                asked.terms[&term] * idf[&term] * tf / (weights.saturation + tf)
            };
            let by_words: f32 = counts.into_iter().map(of_term).sum();
            let by_name = match asked.names.get(&symbol.name) {
                Some(true) => weights.own_name,
                Some(false) => WORD_SHARE * weights.own_name,
                None => 0.0,
            };
            let is_named = named
                .iter()
                .any(|named| named.qualified == symbol.qualified);
            let by_line = if is_named { weights.named_line } else { 0.0 };
            by_words + by_name + by_line + weights.of_file * found.score
        };
        outer
            .iter()
            .map(|symbol| FoundSymbol {
                file: found.file,
                symbol: (*symbol).clone(),
                score: score(symbol),
            })
            .collect()
    }
}

/// Lines of a definition; of a type without those of its members, which speak for themselves.
fn own_lines<'a>(symbol: &'a Symbol, outer: &'a [&Symbol]) -> impl Iterator<Item = usize> + 'a {
    let within = format!("{}.", symbol.qualified);
    let members: Vec<&Range<usize>> = match symbol.is_type() {
        true => outer
            .iter()
            .filter(|other| other.qualified.starts_with(&within))
            .map(|member| &member.lines)
            .collect(),
        false => Vec::new(),
    };
    let is_own = move |line: &usize| !members.iter().any(|lines| lines.contains(line));
    symbol.lines.clone().filter(is_own)
}
