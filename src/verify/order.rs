//! The order in which a repository's tests run: those first that a change, or the issue, concerns.
//!
//! The order: tests that the issue names, then tests by their nearness to the files that a
//! patch changes (`index::Links`: of the same name, some that the issue's words fit best, imports
//! of them, beside them, imports of imports), of equals those that the issue's words fit. Before anything was changed, nearness is to the files that the
//! index finds likeliest. The suite's record says why (`SuiteBuilt::order`).
use super::suite::{is_telling, words};
use crate::index::{Links, Nearness};
use crate::lang::Collected;
use std::path::Path;

/// The tests that were found by their nearness to the files `near`; before them those that hold a
/// test which the issue names. `dir` is a copy of their tree, which is read where the tests in
/// a file are not known.
pub(super) fn in_order(
    links: &Links,
    found: &Collected,
    dir: &Path,
    issue: &str,
    near: &[String],
) -> Vec<(String, Nearness)> {
    let words = words(issue);
    let is_in = |id: &str, path: &str| {
        let rest = id
            .strip_prefix(path)
            .and_then(|rest| rest.strip_prefix("::"));
        let name = rest.map(|rest| rest.rsplit("::").next().unwrap_or(rest));
        let name = name.map(|name| name.split('[').next().unwrap_or(name));
        name.is_some_and(|name| is_telling(name) && words.contains(name))
    };
    // Without ids: a word that begins as a test's name does, and stands in the file.
    let names: Vec<&str> = match found.ids.is_empty() {
        true => words
            .iter()
            .copied()
            .filter(|word| word.starts_with("test") && is_telling(word))
            .collect(),
        false => Vec::new(),
    };
    let holds = |path: &str| {
        let bytes = match names.is_empty() {
            true => Vec::new(),
            false => std::fs::read(dir.join(path)).unwrap_or_default(),
        };
        let text = String::from_utf8_lossy(&bytes);
        let in_file = super::suite::words(&text);
        names.iter().any(|name| in_file.contains(name))
    };
    let is_named = |path: &str| found.ids.iter().any(|id| is_in(id, path)) || holds(path);
    let (mut named, rest): (Vec<_>, Vec<_>) = links
        .order(&found.targets, near)
        .into_iter()
        .partition(|(path, _)| is_named(path));
    named.iter_mut().for_each(|test| test.1 = Nearness::Named);
    named.extend(rest);
    named
}

/// The reasons of an order, each with the number of tests that follow for it.
pub(super) fn reasons(order: &[(String, Nearness)]) -> Vec<(String, u32)> {
    let same = order.chunk_by(|a, b| a.1 == b.1);
    same.map(|tests| (tests[0].1.to_string(), tests.len() as u32))
        .collect()
}
