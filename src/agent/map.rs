//! The repository as a map: its folders, outlines of the files that the issue is
//! likeliest about, and the code that the issue names.
use super::config::AgentConfig;
use super::context::{Chosen, numbered};
use super::listing::listing;
use super::rank::{identifiers, rank};
use super::repo::{RepoFile, RepoView};
use crate::base::LimitHit;
use crate::lang::Symbol;

/// Of the map's tokens, those that the listing of folders may take.
const TREE_SHARE: f32 = 0.5;
/// Of the files' tokens, what outlines may take; the rest is code.
const OUTLINES_SHARE: f32 = 0.5;
/// Files that are parsed, the likeliest first: the prompt has no room for more outlines.
const FILES_MAX: usize = 60;
/// Lines of code shown around a definition that is longer than the room there is.
const BODY_LINES_MAX: usize = 120;

/// The map in at most `budget` tokens.
pub(super) fn map(
    config: &AgentConfig,
    view: &RepoView,
    issue: &str,
    budget: usize,
    n_tokens: &dyn Fn(&str) -> usize,
) -> Chosen {
    let limits = config.limits();
    let order = rank(view, issue);
    let likely: Vec<&RepoFile> = order
        .iter()
        .map(|&index| &view.files[index])
        .filter(|file| config.scope.shows(&file.path))
        .take(FILES_MAX)
        .collect();
    let mut chosen = Chosen::default();
    let paths: Vec<&str> = view.files.iter().map(|file| file.path.as_str()).collect();
    let n_files = paths.len();
    let tree = |lines_max: usize| {
        let (tree, cut) = listing(&paths, "", lines_max, "listed_files_max");
        (
            format!("The repository has {n_files} files:\n{tree}\n\n"),
            cut,
        )
    };
    // Long paths take no more than their share, so that code has room too.
    let mut lines_max = limits.listed_files_max;
    let (mut text, mut cut) = tree(lines_max);
    while lines_max > 1 && n_tokens(&text) > (budget as f32 * TREE_SHARE) as usize {
        lines_max /= 2;
        (text, cut) = tree(lines_max);
    }
    chosen.cuts.extend(cut);
    let mut left = budget.saturating_sub(n_tokens(&text));
    let mut for_outlines = (left as f32 * OUTLINES_SHARE) as usize;
    let heading = "Outlines of the files that the issue is likeliest about:\n";
    let mut outlines = String::new();
    let mut n_left_out = order.len().saturating_sub(likely.len());
    let symbols: Vec<Vec<Symbol>> = likely.iter().map(|file| file.symbols()).collect();
    for (file, symbols) in likely.iter().zip(&symbols) {
        let Some(outline) = outline(file, symbols) else {
            continue;
        };
        let n = n_tokens(&outline);
        if n > for_outlines {
            n_left_out += 1;
            continue;
        }
        for_outlines -= n;
        left -= n;
        outlines += &outline;
        chosen.part.push(file.path.clone());
    }
    if !outlines.is_empty() {
        text += &format!("{heading}{outlines}\n");
    }
    let wanted = identifiers(issue);
    let mut bodies = String::new();
    for (file, symbols) in likely.iter().zip(&symbols) {
        let named = symbols
            .iter()
            .filter(|s| !s.is_local && !s.is_type() && wanted.contains(s.name.as_str()));
        for symbol in named {
            let body = body(file, symbol);
            let n = n_tokens(&body);
            match n <= left {
                true => {
                    left -= n;
                    bodies += &body;
                }
                false => n_left_out += 1,
            }
        }
    }
    if !bodies.is_empty() {
        text += &format!("Code that the issue names:\n{bodies}");
    }
    if n_left_out > 0 {
        let hit = LimitHit::unmeasured("files_tokens_max", budget);
        chosen.cuts.push(hit);
    }
    chosen.text = text;
    chosen
}

/// A file's definitions, a line each with its number; `None` where it has none.
fn outline(file: &RepoFile, symbols: &[Symbol]) -> Option<String> {
    let lines: Vec<&str> = file.text.as_deref()?.lines().collect();
    let outer: Vec<&Symbol> = symbols.iter().filter(|s| !s.is_local).collect();
    if outer.is_empty() {
        return None;
    }
    let mut text = format!("{} ({} lines)\n", file.path, lines.len());
    for symbol in outer {
        let depth = symbol.qualified.matches('.').count();
        let header = lines.get(symbol.header).map_or("", |line| line.trim());
        let indent = "  ".repeat(depth);
        text += &format!("{:>5}| {indent}{header}\n", symbol.header + 1);
    }
    Some(text)
}

/// A definition's lines with their numbers, fenced.
fn body(file: &RepoFile, symbol: &Symbol) -> String {
    let all: Vec<&str> = file.text.as_deref().unwrap_or_default().lines().collect();
    let end = symbol.lines.end.min(all.len());
    let start = symbol.lines.start.min(end);
    let shown = end.min(start + BODY_LINES_MAX);
    let code = numbered(&all[start..shown].join("\n"), start);
    let rest = match end - shown {
        0 => String::new(),
        n => format!(
            "{n} more lines of it are not shown: view lines {} to {end}.\n",
            shown + 1
        ),
    };
    let (path, fence) = (&file.path, file.language().fence());
    format!(
        "{path}, lines {} to {shown}:\n```{fence}\n{code}```\n{rest}\n",
        start + 1
    )
}
