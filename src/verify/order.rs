//! The order in which a repository's tests run: those first that a change, or the issue, concerns.
use super::suite::{is_telling, words};
use crate::index::{Links, Nearness};
use crate::lang::Collected;

/// The tests that were found by their nearness to the files `near`; before them those that hold a
/// test which the issue names.
pub(super) fn in_order(
    links: &Links,
    found: &Collected,
    issue: &str,
    near: &[String],
) -> Vec<(String, Nearness)> {
    let words = words(issue);
    let is_named = |path: &str| {
        found.ids.iter().any(|id| {
            let rest = id
                .strip_prefix(path)
                .and_then(|rest| rest.strip_prefix("::"));
            let name = rest.map(|rest| rest.rsplit("::").next().unwrap_or(rest));
            let name = name.map(|name| name.split('[').next().unwrap_or(name));
            name.is_some_and(|name| is_telling(name) && words.contains(name))
        })
    };
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
