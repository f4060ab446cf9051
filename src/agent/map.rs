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
    let mut likely: Vec<&RepoFile> = order
        .iter()
        .map(|&index| &view.files[index])
        .filter(|file| config.scope.shows(&file.path))
        .collect();
    let mut chosen = Chosen::default();
    let outlined_max = limits.outlined_files_max;
    let not_outlined = (likely.len() > outlined_max)
        .then(|| LimitHit::new("outlined_files_max", outlined_max, likely.len()));
    let mut n_without_outline = likely.len().saturating_sub(outlined_max);
    likely.truncate(outlined_max);
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
    chosen.cuts.extend(cut.into_iter().chain(not_outlined));
    let mut left = budget.saturating_sub(n_tokens(&text));
    let mut for_outlines = (left as f32 * OUTLINES_SHARE) as usize;
    let heading = "Outlines of the files that the issue is likeliest about:\n";
    let mut outlines = String::new();
    let mut is_budget_spent = false;
    let symbols: Vec<Vec<Symbol>> = likely.iter().map(|file| file.symbols()).collect();
    for (file, symbols) in likely.iter().zip(&symbols) {
        let Some(outline) = outline(file, symbols) else {
            continue;
        };
        let n = n_tokens(&outline);
        if n > for_outlines {
            is_budget_spent = true;
            n_without_outline += 1;
            continue;
        }
        for_outlines -= n;
        left -= n;
        outlines += &outline;
        chosen.part.push(file.path.clone());
    }
    if !outlines.is_empty() {
        text += &format!("{heading}{outlines}\n");
        if n_without_outline > 0 {
            let n = n_without_outline;
            text +=
                &format!("{n} more source files are not outlined: search and view show them.\n\n");
        }
    }
    let wanted = identifiers(issue);
    let mut bodies = String::new();
    for (file, symbols) in likely.iter().zip(&symbols) {
        let named = symbols
            .iter()
            .filter(|s| !s.is_local && !s.is_type() && wanted.contains(s.name.as_str()));
        for symbol in named {
            let (body, cut) = body(file, symbol, limits.shown_body_lines_max);
            let n = n_tokens(&body);
            match n <= left {
                true => {
                    left -= n;
                    bodies += &body;
                    chosen.cuts.extend(cut);
                }
                false => is_budget_spent = true,
            }
        }
    }
    if !bodies.is_empty() {
        text += &format!("Code that the issue names:\n{bodies}");
    }
    if is_budget_spent {
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

/// A definition's lines with their numbers, fenced; at most `lines_max` of them.
fn body(file: &RepoFile, symbol: &Symbol, lines_max: usize) -> (String, Option<LimitHit>) {
    let all: Vec<&str> = file.text.as_deref().unwrap_or_default().lines().collect();
    let end = symbol.lines.end.min(all.len());
    let start = symbol.lines.start.min(end);
    let shown = end.min(start + lines_max);
    let cut = (shown < end).then(|| LimitHit::new("shown_body_lines_max", lines_max, end - start));
    let code = numbered(&all[start..shown].join("\n"), start);
    let rest = match end - shown {
        0 => String::new(),
        n => format!(
            "{n} more lines of it are not shown: view lines {} to {end}.\n",
            shown + 1
        ),
    };
    let (path, fence) = (&file.path, file.language().fence());
    let body = format!(
        "{path}, lines {} to {shown}:\n```{fence}\n{code}```\n{rest}\n",
        start + 1
    );
    (body, cut)
}
