//! How often an index finds the place of a task's reference solution, from the issue alone.
use super::location_choice::{Gold, LocationChosen};
use super::{EvalError, Task};
use crate::agent::{AgentConfig, AgentError, Dialect, FirstPrompt, LocationChoice, first_prompt};
use crate::base::{AgentProfile, Purpose};
use crate::engine::{Engine, EngineError, PrefixCache, Progress, Vocabulary};
use crate::index::{Field, Index, Located, RepoView, Weights};
use crate::lang::{self, Symbol};
use crate::verify::patched_files;
use rayon::prelude::*;
use serde::Serialize;
use std::collections::BTreeSet;
use std::time::Instant;

/// A choice that could not be asked for.
#[derive(Debug, thiserror::Error)]
pub enum ChoiceError {
    #[error(transparent)]
    Agent(#[from] AgentError),
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Ranks that hits are counted within.
pub const WITHIN: [usize; 4] = [1, 3, 10, 30];

/// A task's repository, indexed, and the places that its reference solution changes.
pub struct IndexedTask<'a> {
    task: &'a Task,
    view: RepoView,
    index: Index,
    /// Files that are there before the solution and that no test is, by their places in the view.
    gold_files: Vec<usize>,
    /// Functions and types that hold a changed line: the innermost, by file and name.
    gold_symbols: BTreeSet<(usize, String)>,
    /// Milliseconds that reading the files and indexing them took.
    pub read_ms: u64,
    pub index_ms: u64,
}

/// Ranks from 1; `None`: not found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ranks {
    pub instance_id: String,
    /// Of the first file that the solution changes.
    pub file: Option<usize>,
    /// Of the last of them.
    pub all_files: Option<usize>,
    /// Of the first function or type that it changes; absent where it changes none.
    pub symbol: Option<usize>,
    pub has_symbols: bool,
    /// Files of the repository, and milliseconds of the question.
    pub n_files: usize,
    pub locate_ms: u64,
}

/// The parts of the places that a first prompt shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// An outline of a changed file.
    pub outline: bool,
    /// A changed line, or a line beside an added one.
    pub code: bool,
    /// Tokens of the whole prompt.
    pub tokens: usize,
}

/// Hits of several tasks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recall {
    pub n_tasks: usize,
    /// Tasks with any changed file within each of [`WITHIN`].
    pub files: [usize; WITHIN.len()],
    pub all_files: [usize; WITHIN.len()],
    /// Tasks whose solution changes a function or a type.
    pub n_with_symbols: usize,
    pub symbols: [usize; WITHIN.len()],
}

impl Recall {
    pub fn of<'a>(ranks: impl Iterator<Item = &'a Ranks> + Clone) -> Self {
        let within = |rank: fn(&Ranks) -> Option<usize>| {
            WITHIN.map(|most| {
                let found = ranks.clone().filter_map(rank);
                found.filter(|rank| *rank <= most).count()
            })
        };
        Self {
            n_tasks: ranks.clone().count(),
            files: within(|ranks| ranks.file),
            all_files: within(|ranks| ranks.all_files),
            n_with_symbols: ranks.clone().filter(|ranks| ranks.has_symbols).count(),
            symbols: within(|ranks| ranks.symbol),
        }
    }
}

impl<'a> IndexedTask<'a> {
    /// Checks the repository out and indexes it. Errors: a solution of which no file is there.
    pub fn of(task: &'a Task) -> Result<Self, EvalError> {
        let io = |source| EvalError::io("make a folder in", &std::env::temp_dir(), source);
        let dir = tempfile::tempdir().map_err(io)?;
        task.materialise(dir.path())?;
        let began = Instant::now();
        let view = RepoView::read(dir.path(), &BTreeSet::new())?;
        let read_ms = began.elapsed().as_millis() as u64;
        let began = Instant::now();
        let index = Index::of(&view);
        let index_ms = began.elapsed().as_millis() as u64;
        let patched = patched_files(&task.patch);
        let place = |path: &String| view.files.iter().position(|file| &file.path == path);
        let gold_files: Vec<usize> = patched
            .iter()
            .filter_map(place)
            .filter(|&at| view.files[at].text.is_some())
            .collect();
        if gold_files.is_empty() {
            return Err(task.error("its patch changes no file that is there"));
        }
        let mut gold_symbols = BTreeSet::new();
        for &file in &gold_files {
            let (path, symbols) = (&view.files[file].path, view.files[file].symbols());
            for lines in changed_lines(&task.patch, path) {
                gold_symbols
                    .extend(innermost(&symbols, &lines).map(|s| (file, s.qualified.clone())));
            }
        }
        Ok(Self {
            task,
            view,
            index,
            gold_files,
            gold_symbols,
            read_ms,
            index_ms,
        })
    }

    /// The first prompt of the profile `standard` in a context of `ctx_tokens`. No suite was built
    /// that would narrow the code that is shown.
    fn first_prompt(
        &self,
        vocabulary: &dyn Vocabulary,
        dialect: &dyn Dialect,
        ctx_tokens: usize,
    ) -> Result<FirstPrompt, AgentError> {
        let issue = &self.task.problem_statement;
        let located = self.index.locate(&self.view, issue, &Weights::default());
        let profile = AgentProfile::standard().in_context(ctx_tokens);
        let paths = self.view.files.iter().map(|file| file.path.as_str());
        let config = AgentConfig {
            language: lang::of_repository(paths),
            ..AgentConfig::agent(profile)
        };
        first_prompt(
            &config, &self.view, &located, issue, vocabulary, dialect, ctx_tokens,
        )
    }

    pub fn instance_id(&self) -> &str {
        &self.task.instance_id
    }

    fn gold_paths(&self) -> impl Iterator<Item = &String> + Clone {
        let gold = self.gold_files.iter();
        gold.map(|&file| &self.view.files[file].path)
    }

    /// Whether that prompt shows the place.
    ///
    /// Errors: an issue that has no room.
    pub fn shown(
        &self,
        vocabulary: &dyn Vocabulary,
        dialect: &dyn Dialect,
        ctx_tokens: usize,
    ) -> Result<Shown, AgentError> {
        let prompt = self.first_prompt(vocabulary, dialect, ctx_tokens)?;
        let mut gold = self.gold_paths();
        let shows_line = |path: &String| {
            let changed = changed_lines(&self.task.patch, path);
            let heading = format!("{path}, lines ");
            let ranges = prompt.user.lines().filter_map(|line| {
                let (first, last) = line
                    .strip_prefix(&heading)?
                    .trim_end_matches(':')
                    .split_once(" to ")?;
                Some(first.parse::<usize>().ok()? - 1..last.parse().ok()?)
            });
            let mut ranges = ranges.collect::<Vec<_>>().into_iter();
            ranges.any(|range| changed.iter().flatten().any(|line| range.contains(line)))
        };
        Ok(Shown {
            outline: gold.clone().any(|path| prompt.excerpted.contains(path)),
            code: gold.any(shows_line),
            tokens: prompt.tokens(vocabulary, dialect).len(),
        })
    }

    /// The model's own choice among the locations that this prompt is for; nothing is decoded.
    /// `None` where there are not two.
    ///
    /// Errors: an issue that has no room; the engine's.
    pub fn chosen(
        &self,
        engine: &mut dyn Engine,
        dialect: &dyn Dialect,
        on_step: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Option<LocationChosen>, ChoiceError> {
        let ctx_tokens = engine.context_max();
        let prompt = self.first_prompt(engine.vocabulary(), dialect, ctx_tokens)?;
        let (calls, vocabulary) = (dialect.calls(), engine.vocabulary());
        let choice = LocationChoice::new(&prompt.locations, calls, vocabulary, "");
        let Some(choice) = choice else {
            return Ok(None);
        };
        let mut tokens = prompt.tokens(vocabulary, dialect);
        let prompt_tokens = tokens.len();
        tokens.extend(vocabulary.encode_special(&calls.opening()));
        let seq = engine.new_sequence(PrefixCache::Use);
        let measured = engine
            .append(seq, &tokens, Purpose::Agent)
            .and_then(|()| engine.compute(&[seq], Purpose::Agent, on_step))
            .and_then(|()| choice.measure(engine, seq));
        engine.release(seq);
        let Some(entropy) = measured? else {
            return Ok(None);
        };
        let symbols = self.gold_symbols.iter();
        let gold = Gold {
            files: self.gold_paths().map(String::as_str).collect(),
            symbols: symbols
                .map(|(file, name)| (self.view.files[*file].path.as_str(), name.as_str()))
                .collect(),
        };
        let (id, locations) = (&self.task.instance_id, &prompt.locations);
        let chosen = LocationChosen::of(id, locations, &entropy, &gold, prompt_tokens);
        Ok(Some(chosen))
    }

    pub fn ranks(&self, weights: &Weights) -> Ranks {
        let began = Instant::now();
        let issue = &self.task.problem_statement;
        let found: Located = self.index.locate(&self.view, issue, weights);
        let locate_ms = began.elapsed().as_millis() as u64;
        let of_files: Vec<usize> = (found.files.iter().enumerate())
            .filter(|(_, found)| found.score > 0.0 && self.gold_files.contains(&found.file))
            .map(|(at, _)| at + 1)
            .collect();
        let is_gold = |found: &crate::index::FoundSymbol| {
            let place = (found.file, found.symbol.qualified.clone());
            self.gold_symbols.contains(&place)
        };
        Ranks {
            instance_id: self.task.instance_id.clone(),
            file: of_files.first().copied(),
            all_files: of_files
                .last()
                .copied()
                .filter(|_| of_files.len() == self.gold_files.len()),
            symbol: found.symbols.iter().position(is_gold).map(|at| at + 1),
            has_symbols: !self.gold_symbols.is_empty(),
            n_files: self.view.files.len(),
            locate_ms,
        }
    }
}

/// Each sign of the index by its name, and the weights without it.
pub fn ablations(weights: &Weights) -> Vec<(String, Weights)> {
    let mut rows: Vec<(String, Weights)> = Field::ALL
        .iter()
        .enumerate()
        .map(|(at, field)| {
            let mut without = *weights;
            without.fields[at] = 0.0;
            (format!("field {}", field.name()), without)
        })
        .collect();
    let without = |change: fn(&mut Weights)| {
        let mut without = *weights;
        change(&mut without);
        without
    };
    rows.extend(
        [
            (
                "title, inline code, blocks as other words",
                without(|w| (w.title, w.inline, w.block) = (1.0, 1.0, 1.0)),
            ),
            (
                "named paths and lines",
                without(|w| (w.named_path, w.named_line) = (0.0, 0.0)),
            ),
            ("named modules", without(|w| w.named_module = 0.0)),
            (
                "defined names",
                without(|w| (w.defined, w.defined_word) = (0.0, 0.0)),
            ),
            ("imports", without(|w| w.imported = 0.0)),
            (
                "tests and pages of the same name",
                without(|w| w.namesake = 0.0),
            ),
            (
                "less for tests and pages themselves",
                without(|w| (w.test, w.text) = (1.0, 1.0)),
            ),
        ]
        .map(|(name, weights)| (name.to_owned(), weights)),
    );
    rows
}

/// Ranks of all tasks, in their order.
pub fn ranks(tasks: &[IndexedTask<'_>], weights: &Weights) -> Vec<Ranks> {
    tasks.par_iter().map(|task| task.ranks(weights)).collect()
}

/// Lines of a file, from 0, that a patch changes: pairs of the lines around or of a removed one.
fn changed_lines(patch: &str, path: &str) -> Vec<[usize; 2]> {
    let mut lines = Vec::new();
    let (mut is_file, mut at) = (false, 0usize);
    for line in patch.lines() {
        if let Some(name) = line.strip_prefix("--- ") {
            is_file = name.trim_end() == format!("a/{path}");
        } else if let Some(hunk) = line.strip_prefix("@@ -") {
            let first = hunk
                .split([',', ' '])
                .next()
                .and_then(|n| n.parse::<usize>().ok());
            at = first.unwrap_or(1).saturating_sub(1);
        } else if is_file && !line.starts_with("+++ ") {
            match line.as_bytes().first() {
                Some(b'-') => {
                    lines.push([at, at]);
                    at += 1;
                }
                Some(b'+') => lines.push([at.saturating_sub(1), at]),
                _ => at += 1,
            }
        }
    }
    lines.dedup();
    lines
}

/// The smallest definition, not local, that holds both lines.
fn innermost<'a>(symbols: &'a [Symbol], [first, last]: &[usize; 2]) -> Option<&'a Symbol> {
    let around = symbols.iter().filter(|symbol| {
        !symbol.is_local && symbol.lines.contains(first) && symbol.lines.contains(last)
    });
    around.min_by_key(|symbol| symbol.lines.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::of_path;

    #[test]
    fn a_patch_changes_the_innermost_definitions_of_its_lines() {
        let text = "class A:\n    def f(self):\n        return 1\n\n    def g(self):\n        return 2\n\nX = 1\n";
        let patch = "--- a/m.py\n+++ b/m.py\n@@ -2,5 +2,6 @@\n     def f(self):\n-        return 1\n+        return 3\n \n+    y = 2\n     def g(self):\n         return 2\n--- a/n.py\n+++ b/n.py\n@@ -8 +8 @@\n-X = 1\n+X = 2\n";
        let symbols = of_path("m.py").symbols(text);
        let changed = changed_lines(patch, "m.py");
        let names: BTreeSet<&str> = changed
            .iter()
            .filter_map(|lines| innermost(&symbols, lines))
            .map(|symbol| symbol.qualified.as_str())
            .collect();
        assert_eq!(names, BTreeSet::from(["A", "A.f"]));
        assert_eq!(changed_lines(patch, "n.py"), [[7, 7], [7, 8]]);
    }
}
