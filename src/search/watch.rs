//! An onlooker of a run.
use super::state::RunState;
use crate::engine::Progress;
use crate::record::Event;

/// Told of what happens; changes nothing.
pub trait Watcher {
    /// Before the event is recorded; `state` is what was before it.
    fn event(&self, event: &Event, state: &RunState);
    /// Between the steps of a batch.
    fn progress(&self, progress: &Progress<'_>);
    /// A stage begins: one clause.
    fn stage(&self, what: &str);
}

/// Nobody.
pub struct NoWatcher;

impl Watcher for NoWatcher {
    fn event(&self, _: &Event, _: &RunState) {}
    fn progress(&self, _: &Progress<'_>) {}
    fn stage(&self, _: &str) {}
}
