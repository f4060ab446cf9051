//! `search`: lines by a text or a regular expression.
use super::{Executor, unread_note};
use crate::agent::AgentError;
use crate::agent::action::Query;
use crate::agent::observation::Observation;
use crate::base::LimitHit;
use crate::index::{RepoFile, RepoView};
use crate::lang::nearest_place;
use crate::record::StepOutcome;
use globset::GlobBuilder;
use regex::{Regex, RegexBuilder};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Files that are looked through for a line that is only alike.
const NEAREST_FILES_MAX: usize = 200;
/// Files with hits that are parsed for their definitions.
const PARSED_FILES_MAX: usize = 300;
/// Memory of one compiled expression, bytes: a hostile one is refused.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// A line found: the file's place in the view, and the line's, from 0.
type Hit = (usize, usize);

impl Executor<'_> {
    pub(super) fn search(&self, dir: &Path, query: &Query) -> Result<Observation, AgentError> {
        let view = self.files(dir)?;
        Ok(match query {
            Query::Text(wanted) => self.search_text(dir, &view, wanted),
            Query::Pattern(pattern) => self.search_pattern(dir, &view, pattern, None, 0),
            Query::Files {
                pattern,
                glob,
                context,
            } => self.search_pattern(dir, &view, pattern, Some(glob), *context),
        })
    }

    fn search_text(&self, dir: &Path, view: &RepoView, wanted: &str) -> Observation {
        let lower = wanted.to_lowercase();
        let mut found = hits(view, &|_| true, &|line| line.contains(wanted));
        if found.is_empty() {
            found = hits(view, &|_| true, &|line| {
                line.to_lowercase().contains(&lower)
            });
        }
        if found.is_empty() {
            let mut sentence = format!("\"{wanted}\" occurs in no file.");
            let files = view.files.iter().take(NEAREST_FILES_MAX);
            let nearest = files.into_iter().find_map(|file| {
                let text = file.text.as_deref()?;
                let at = nearest_place(text, wanted)?.start;
                Some(format!(
                    "{}:{}: {}",
                    file.path,
                    at + 1,
                    text.lines().nth(at)?
                ))
            });
            if let Some(nearest) = nearest {
                sentence += &format!(" The nearest line:\n{nearest}");
            }
            sentence += &unread_note(view, dir, |_| true);
            return Observation::new(StepOutcome::Ok, sentence);
        }
        let (n, max) = (found.len(), self.config.limits().search_hits_max);
        found.truncate(max);
        let chars_max = self.config.limits().search_line_chars_max;
        let line = |&hit: &Hit| line_of(view, hit, chars_max);
        let mut lines: Vec<String> = found.iter().map(line).collect();
        let mut cuts: Vec<LimitHit> = cut_lines(view, &found, chars_max).into_iter().collect();
        if n > max {
            lines.push(format!("... and {} more", n - max));
            cuts.push(LimitHit::new("search_hits_max", max, n));
        }
        let mut observation = Observation::new(StepOutcome::Ok, lines.join("\n"));
        observation.cuts = cuts;
        observation
    }

    fn search_pattern(
        &self,
        dir: &Path,
        view: &RepoView,
        pattern: &str,
        glob: Option<&String>,
        context: usize,
    ) -> Observation {
        let expression = match RegexBuilder::new(pattern)
            .size_limit(PATTERN_BYTES_MAX)
            .build()
        {
            Ok(expression) => expression,
            Err(regex::Error::CompiledTooBig(_)) => {
                return Observation::rejected(format!(
                    "{pattern:?} is too large an expression: repeat less, or search for a part of it."
                ));
            }
            Err(error) => {
                let why = error.to_string();
                let last = why.lines().last().unwrap_or_default();
                return Observation::rejected(format!(
                    "{pattern:?} is no regular expression ({}). Put a backslash before a character that is meant as it is.",
                    last.trim_start_matches("error: ")
                ));
            }
        };
        // A star stays within a folder, a bare name is looked for in all of them, and a folder
        // means all that is in it.
        let glob = glob.map(|glob| {
            let glob = glob.trim().trim_start_matches("./");
            let folder = format!("{}/", glob.trim_end_matches('/'));
            let is_folder = view.files.iter().any(|file| file.path.starts_with(&folder));
            let glob = match is_folder {
                true => format!("{folder}**"),
                false if glob.contains('/') => glob.to_owned(),
                false => format!("**/{glob}"),
            };
            let built = GlobBuilder::new(&glob).literal_separator(true).build();
            built.map(|glob| glob.compile_matcher())
        });
        let glob = match glob.transpose() {
            Ok(glob) => glob,
            Err(error) => {
                return Observation::rejected(format!("The glob is not understood: {error}."));
            }
        };
        let in_glob = |file: &RepoFile| glob.as_ref().is_none_or(|glob| glob.is_match(&file.path));
        let n_files = view.files.iter().filter(|file| in_glob(file)).count();
        if n_files == 0 {
            return Observation::rejected("The glob matches no file: list shows what there is.");
        }
        let found = hits(view, &in_glob, &|line| expression.is_match(line));
        let found = ranked(view, found, &expression);
        if found.is_empty() {
            return Observation::new(
                StepOutcome::Ok,
                format!("No line of {n_files} files matches {pattern:?}.")
                    + &unread_note(view, dir, in_glob),
            );
        }
        let limits = self.config.limits();
        let (n, max) = (found.len(), limits.search_hits_max);
        let chars_max = limits.search_line_chars_max;
        let shown = &found[..n.min(max)];
        let mut cuts: Vec<LimitHit> = cut_lines(view, shown, chars_max).into_iter().collect();
        if n > max {
            cuts.push(LimitHit::new("search_hits_max", max, n));
        }
        let around = context.min(limits.search_context_max);
        if context > around {
            cuts.push(LimitHit::new("search_context_max", around, context));
        }
        let mut text = match around {
            0 => {
                let lines = shown.iter().map(|&hit| line_of(view, hit, chars_max));
                lines.map(|line| line + "\n").collect()
            }
            _ => with_context(view, shown, around, chars_max),
        };
        if n > max {
            text += &format!(
                "{max} of {n} hits are shown, definitions and sources first: narrow the pattern, or name files by a glob.\n"
            );
        }
        if context > around {
            text += &format!("{around} lines around each hit are shown; view shows more.\n");
        }
        let mut observation = Observation::new(StepOutcome::Ok, text);
        observation.cuts = cuts;
        observation
    }
}

/// Every line of the files that `in_scope` takes which `matches`, in order.
fn hits(
    view: &RepoView,
    in_scope: &dyn Fn(&RepoFile) -> bool,
    matches: &dyn Fn(&str) -> bool,
) -> Vec<Hit> {
    let mut hits = Vec::new();
    for (at, file) in view
        .files
        .iter()
        .enumerate()
        .filter(|(_, file)| in_scope(file))
    {
        let lines = file.text.as_deref().unwrap_or_default().lines();
        let found = lines.enumerate().filter(|(_, line)| matches(line));
        hits.extend(found.map(|(line, _)| (at, line)));
    }
    hits
}

/// The hits by what they are: definitions of what was looked for, then uses, in sources before
/// tests before other files; then in the order of files and lines.
fn ranked(view: &RepoView, mut hits: Vec<Hit>, expression: &Regex) -> Vec<Hit> {
    let mut defined: HashMap<usize, HashSet<usize>> = HashMap::new();
    for &(at, _) in &hits {
        if defined.len() >= PARSED_FILES_MAX {
            break;
        }
        defined.entry(at).or_insert_with(|| {
            let text = view.files[at].text.as_deref().unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let symbols = view.files[at].symbols().into_iter();
            // Its name is in what matches, not in the rest of the line.
            let meant = symbols.filter(|symbol| {
                let line = lines.get(symbol.header).copied().unwrap_or_default();
                let name = line.find(&symbol.name).map(|at| at..at + symbol.name.len());
                let mut found = expression.find_iter(line).map(|found| found.range());
                name.is_some_and(|name| found.any(|at| at.start < name.end && name.start < at.end))
            });
            meant.map(|symbol| symbol.header).collect()
        });
    }
    let kind = |&(at, line): &Hit| {
        let file = &view.files[at];
        let of_file = match (file.is_source(), file.is_test()) {
            (true, _) => 0,
            (false, true) => 1,
            (false, false) => 2,
        };
        let is_definition = defined.get(&at).is_some_and(|lines| lines.contains(&line));
        (of_file == 2 || !is_definition, of_file)
    };
    hits.sort_by_cached_key(kind);
    hits
}

fn text_of(view: &RepoView, (file, line): Hit) -> &str {
    let text = view.files[file].text.as_deref().unwrap_or_default();
    text.lines().nth(line).unwrap_or_default().trim_end()
}

fn line_of(view: &RepoView, hit: Hit, chars_max: usize) -> String {
    let (path, line) = (&view.files[hit.0].path, hit.1 + 1);
    format!(
        "{path}:{line}: {}",
        shortened(text_of(view, hit), chars_max)
    )
}

/// The limit that cut the longest of these lines, if it cut one.
fn cut_lines(view: &RepoView, hits: &[Hit], chars_max: usize) -> Option<LimitHit> {
    let lengths = hits.iter().map(|&hit| text_of(view, hit).chars().count());
    let longest = lengths.max().filter(|&longest| longest > chars_max)?;
    Some(LimitHit::new("search_line_chars_max", chars_max, longest))
}

/// A line up to so many characters; three dots say that there are more.
fn shortened(line: &str, chars_max: usize) -> String {
    let shown: String = line.chars().take(chars_max).collect();
    let more = if shown.len() < line.len() { " ..." } else { "" };
    shown + more
}

/// Hits with the lines around them, numbered; those of one file that meet are one piece.
fn with_context(view: &RepoView, hits: &[Hit], around: usize, chars_max: usize) -> String {
    let mut pieces: Vec<(usize, usize, usize)> = Vec::new();
    // The files in the order of their best hits, and the lines of each in their own.
    let mut files: Vec<usize> = Vec::new();
    for &(file, _) in hits {
        if !files.contains(&file) {
            files.push(file);
        }
    }
    let mut in_order = hits.to_vec();
    in_order.sort_by_key(|&(file, line)| (files.iter().position(|other| *other == file), line));
    for (file, line) in in_order {
        let text = view.files[file].text.as_deref().unwrap_or_default();
        let n_lines = text.lines().count();
        let (start, end) = (
            line.saturating_sub(around),
            (line + around + 1).min(n_lines),
        );
        match pieces.last_mut() {
            Some((same, _, last)) if *same == file && start <= *last => *last = end,
            _ => pieces.push((file, start, end)),
        }
    }
    let mut shown = String::new();
    for (file, start, end) in pieces {
        let of = &view.files[file];
        let lines = of.text.as_deref().unwrap_or_default().lines().enumerate();
        shown += &format!("{}:\n", of.path);
        for (at, line) in lines.skip(start).take(end - start) {
            let mark = if hits.contains(&(file, at)) { ">" } else { " " };
            shown += &format!("{mark}{:>5}| {}\n", at + 1, shortened(line, chars_max));
        }
    }
    shown
}
