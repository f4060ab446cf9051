//! The tests that a run did not come to.
use crate::record::SuiteRun;
use std::collections::HashSet;

/// Tests of which nothing is known, by their ids or by those of what they are in.
pub struct NotRun<'a>(HashSet<&'a str>);

impl<'a> NotRun<'a> {
    /// Those of one run.
    pub fn of(run: &'a SuiteRun) -> Self {
        Self(run.not_run.iter().map(String::as_str).collect())
    }

    /// Whether it is one of them, by its own id or by that of what it is in.
    pub fn has(&self, id: &str) -> bool {
        !self.0.is_empty()
            && (self.0.contains(id) || containers(id).any(|name| self.0.contains(name.as_str())))
    }
}

/// The ids that what a test is in would have, the file's first.
pub(super) fn containers(id: &str) -> impl Iterator<Item = String> + '_ {
    id.match_indices("::")
        .enumerate()
        .map(|(nth, (at, _))| match nth {
            0 => id[..at].to_owned(),
            _ => format!("{}::*", &id[..at]),
        })
}
