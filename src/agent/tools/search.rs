//! `search`: lines by a text or a regular expression.
use super::Executor;
use crate::agent::AgentError;
use crate::agent::action::Query;
use crate::agent::observation::Observation;
use crate::agent::repo::{RepoFile, RepoView};
use crate::base::LimitHit;
use crate::lang::nearest_place;
use crate::record::StepOutcome;
use globset::GlobBuilder;
use regex::RegexBuilder;
use std::path::Path;

/// Files that are looked through for a line that is only alike.
const NEAREST_FILES_MAX: usize = 200;
/// Characters of a line that a hit shows.
const LINE_CHARS_MAX: usize = 300;
/// Memory of one compiled expression, bytes: a hostile one is refused.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// A line found: the file's place in the view, and the line's, from 0.
type Hit = (usize, usize);

impl Executor<'_> {
    pub(super) fn search(&self, dir: &Path, query: &Query) -> Result<Observation, AgentError> {
        let view = RepoView::read(dir)?;
        Ok(match query {
            Query::Text(wanted) => self.search_text(&view, wanted),
            Query::Pattern(pattern) => self.search_pattern(&view, pattern, None, 0),
            Query::Files {
                pattern,
                glob,
                context,
            } => self.search_pattern(&view, pattern, Some(glob), *context),
        })
    }

    fn search_text(&self, view: &RepoView, wanted: &str) -> Observation {
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
            return Observation::new(StepOutcome::Ok, sentence);
        }
        let (n, max) = (found.len(), self.config.limits().search_hits_max);
        found.truncate(max);
        let mut lines: Vec<String> = found.iter().map(|&hit| line_of(view, hit)).collect();
        let mut cuts = Vec::new();
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
            Err(error) => {
                let why = error.to_string();
                let last = why.lines().last().unwrap_or_default();
                return Observation::rejected(format!(
                    "{pattern:?} is no regular expression ({}). Put a backslash before a character that is meant as it is.",
                    last.trim_start_matches("error: ")
                ));
            }
        };
        // A star stays within a folder, and a bare name is looked for in all of them.
        let glob = glob.map(|glob| {
            let glob = glob.trim().trim_start_matches("./");
            let anywhere = if glob.contains('/') {
                String::new()
            } else {
                "**/".to_owned()
            };
            let built = GlobBuilder::new(&format!("{anywhere}{glob}"))
                .literal_separator(true)
                .build();
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
        if found.is_empty() {
            return Observation::new(
                StepOutcome::Ok,
                format!("No line of {n_files} files matches {pattern:?}."),
            );
        }
        let limits = self.config.limits();
        let (n, max) = (found.len(), limits.search_hits_max);
        let mut cuts = Vec::new();
        if n > max {
            cuts.push(LimitHit::new("search_hits_max", max, n));
        }
        let around = context.min(limits.search_context_max);
        if context > around {
            cuts.push(LimitHit::new("search_context_max", around, context));
        }
        let shown = &found[..n.min(max)];
        let mut text = match around {
            0 => shown.iter().map(|&hit| line_of(view, hit) + "\n").collect(),
            _ => with_context(view, shown, around),
        };
        if n > max {
            text += &format!(
                "{max} of {n} hits are shown: narrow the pattern, or name files by a glob.\n"
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

fn line_of(view: &RepoView, (file, line): Hit) -> String {
    let file = &view.files[file];
    let text = file.text.as_deref().unwrap_or_default();
    let text = text.lines().nth(line).unwrap_or_default().trim_end();
    format!("{}:{}: {}", file.path, line + 1, shortened(text))
}

/// A line of a minified file would take the room of all other hits.
fn shortened(line: &str) -> String {
    let shown: String = line.chars().take(LINE_CHARS_MAX).collect();
    let more = if shown.len() < line.len() { " ..." } else { "" };
    shown + more
}

/// Hits with the lines around them, numbered; those of one file that meet are one piece.
fn with_context(view: &RepoView, hits: &[Hit], around: usize) -> String {
    let mut pieces: Vec<(usize, usize, usize)> = Vec::new();
    for &(file, line) in hits {
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
            shown += &format!("{mark}{:>5}| {}\n", at + 1, shortened(line));
        }
    }
    shown
}
