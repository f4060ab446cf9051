//! The repository as a map: its folders, outlines of the files that the issue is
//! likeliest about, and the code of the likeliest definitions. The profile `standard` shows it
//! in its first prompt.
//! likeliest about, and the code of the likeliest definitions.
//! The profile `standard` shows it in its first prompt.
use super::chosen::Chosen;
use super::config::AgentConfig;
use super::listing::listing;
use super::numbered::numbered;
use crate::base::LimitHit;
use crate::index::{FoundSymbol, Located, RepoFile, RepoView};
use crate::lang::Symbol;
use std::collections::BTreeSet;

/// Of the map's tokens, those that the listing of folders may take.
const TREE_SHARE: f32 = 0.15;
/// Of the tokens behind the listing, those that outlines may take; the rest is code.
const OUTLINES_SHARE: f32 = 0.5;
/// Of the outlines' tokens, those that one file may take.
const ONE_OUTLINE_SHARE: f32 = 0.2;
/// Of the code's tokens, those that one definition may take.
const ONE_BODY_SHARE: f32 = 0.4;
/// Tokens that an outline and a definition may take however few there are for all of them.
const ONE_TOKENS_MIN: usize = 200;
/// Definitions whose code is tried, the likeliest first.
const BODIES_TRIED_MAX: usize = 60;

/// The map in at most `budget` tokens.
pub(super) fn map(
    config: &AgentConfig,
    view: &RepoView,
    located: &Located,
    budget: usize,
    n_tokens: &dyn Fn(&str) -> usize,
) -> Chosen {
    let limits = config.limits();
    let mut chosen = Chosen::default();
    let files: Vec<&RepoFile> = view.files.iter().collect();
    let tree = |lines_max: usize| {
        let (tree, cut) = listing(&files, "", lines_max, "listed_files_max");
        let n_files = files.len();
        (
            format!("The repository has {n_files} files:\n{tree}\n\n"),
            cut,
        )
    };
    // Long paths take no more than their share, so that code has room too.
    let mut lines_max = limits.listed_files_max;
    let (mut text, mut cut) = tree(lines_max);
    while lines_max > 1 && n_tokens(&text) > part(budget, TREE_SHARE) {
        lines_max /= 2;
        (text, cut) = tree(lines_max);
    }
    chosen.cuts.extend(cut);
    let left = budget.saturating_sub(n_tokens(&text));

    let is_shown = |file: &RepoFile| file.is_source() && config.scope.shows(&file.path);
    let likely: Vec<usize> = located
        .files
        .iter()
        .map(|found| found.file)
        .filter(|&file| is_shown(&view.files[file]))
        .collect();
    let outlined_max = limits.outlined_files_max;
    if likely.len() > outlined_max {
        let hit = LimitHit::new("outlined_files_max", outlined_max, likely.len());
        chosen.cuts.push(hit);
    }
    let for_outlines = part(left, OUTLINES_SHARE);
    let mut room = for_outlines;
    let mut outlines = String::new();
    let mut n_outlined = 0;
    for &file in likely.iter().take(outlined_max) {
        let one = part(for_outlines, ONE_OUTLINE_SHARE)
            .max(ONE_TOKENS_MIN)
            .min(room);
        let found: Vec<&FoundSymbol> = located.symbols.iter().filter(|s| s.file == file).collect();
        let Some(outline) = outline(&view.files[file], &found, one, n_tokens) else {
            continue;
        };
        room = room.saturating_sub(n_tokens(&outline));
        outlines += &outline;
        n_outlined += 1;
        chosen.part.push(view.files[file].path.clone());
    }
    if !outlines.is_empty() {
        text += &format!("Outlines of the files that the issue is likeliest about:\n{outlines}\n");
        match likely.len() - n_outlined {
            0 => {}
            n => {
                text += &format!(
                    "{n} more source files are not outlined: search and view show them.\n\n"
                );
                chosen
                    .cuts
                    .push(LimitHit::unmeasured("files_tokens_max", budget));
            }
        }
    }
    let for_bodies = left.saturating_sub(for_outlines) + room;
    let mut room = for_bodies;
    let mut bodies = String::new();
    let mut shown: Vec<&FoundSymbol> = Vec::new();
    let open = located
        .symbols
        .iter()
        .filter(|found| is_shown(&view.files[found.file]));
    for found in open.take(BODIES_TRIED_MAX) {
        // Code within a definition that is shown, or around one, is not shown twice.
        let is_double = shown.iter().any(|other| {
            let (a, b) = (&other.symbol.lines, &found.symbol.lines);
            other.file == found.file && a.start < b.end && b.start < a.end
        });
        if is_double {
            continue;
        }
        let file = &view.files[found.file];
        let (body, cut) = body(file, &found.symbol, limits.shown_body_lines_max);
        let n = n_tokens(&body);
        let one = part(for_bodies, ONE_BODY_SHARE).max(ONE_TOKENS_MIN);
        if n <= room.min(one) {
            room -= n;
            bodies += &body;
            shown.push(found);
            chosen.cuts.extend(cut);
        }
    }
    if !bodies.is_empty() {
        text += &format!("Code that the issue is likeliest about:\n{bodies}");
    }
    chosen.text = text;
    chosen
}

fn part(tokens: usize, share: f32) -> usize {
    (tokens as f32 * share) as usize
}

/// A file's definitions, a line each with its number; of more than `tokens_max` the likeliest
/// ones (`found`, the likeliest first) and the types around them. `None` where it has none, or
/// there is no room.
fn outline(
    file: &RepoFile,
    found: &[&FoundSymbol],
    tokens_max: usize,
    n_tokens: &dyn Fn(&str) -> usize,
) -> Option<String> {
    let lines: Vec<&str> = file.text.as_deref()?.lines().collect();
    let all = file.symbols();
    let outer: Vec<&Symbol> = all.iter().filter(|s| !s.is_local).collect();
    if outer.is_empty() {
        return None;
    }
    let shown = |n_likeliest: usize| {
        let mut names: BTreeSet<&str> = BTreeSet::new();
        for found in found.iter().take(n_likeliest) {
            let qualified = found.symbol.qualified.as_str();
            names.insert(qualified);
            names.extend(qualified.match_indices('.').map(|(at, _)| &qualified[..at]));
        }
        let is_whole = n_likeliest >= outer.len();
        let kept = outer
            .iter()
            .filter(|s| is_whole || names.contains(s.qualified.as_str()));
        let mut text = format!("{} ({} lines)\n", file.path, lines.len());
        let mut n_kept = 0;
        for symbol in kept {
            n_kept += 1;
            let depth = symbol.qualified.matches('.').count();
            let header = lines.get(symbol.header).map_or("", |line| line.trim());
            let indent = "  ".repeat(depth);
            text += &format!("{:>5}| {indent}{header}\n", symbol.header + 1);
        }
        if n_kept < outer.len() {
            text += &format!("       and {} more definitions\n", outer.len() - n_kept);
        }
        text
    };
    let mut n_likeliest = outer.len();
    while n_likeliest > 0 {
        let text = shown(n_likeliest);
        if n_tokens(&text) <= tokens_max {
            return Some(text);
        }
        n_likeliest = n_likeliest.min(found.len() + 1) * 3 / 4;
    }
    None
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
