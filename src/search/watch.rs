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
    /// A run of several begins: its name.
    fn run(&self, _name: &str) {}
}

impl<W: Watcher + ?Sized> Watcher for &W {
    fn event(&self, event: &Event, state: &RunState) {
        (**self).event(event, state);
    }

    fn progress(&self, progress: &Progress<'_>) {
        (**self).progress(progress);
    }

    fn stage(&self, what: &str) {
        (**self).stage(what);
    }

    fn run(&self, name: &str) {
        (**self).run(name);
    }
}

/// Nobody.
pub struct NoWatcher;

impl Watcher for NoWatcher {
    fn event(&self, _: &Event, _: &RunState) {}
    fn progress(&self, _: &Progress<'_>) {}
    fn stage(&self, _: &str) {}
}
