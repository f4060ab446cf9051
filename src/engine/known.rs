//! Continuations that were decoded, by all that they follow from.
use super::api::Generated;
use std::collections::HashMap;

/// Continuations kept at most, of some kilobytes each; past it all are dropped.
const KEPT_MAX: usize = 8_192;

/// All that a continuation follows from, digested.
pub(super) type Key = [u8; 32];

/// Continuations by the digests of all that they follow from.
#[derive(Default)]
pub(super) struct Known {
    pub(super) continuations: HashMap<Key, Continuation>,
}

#[derive(Clone)]
pub(super) struct Continuation {
    pub(super) generated: Generated,
    /// How many of its tokens were run when it ended: the last one often was not.
    pub(super) n_run: usize,
    /// Whether the row of logits behind them was kept.
    pub(super) has_last_row: bool,
}

impl Known {
    pub(super) fn forget(&mut self) {
        self.continuations.clear();
    }

    pub(super) fn add(&mut self, key: Key, continuation: Continuation) {
        if self.continuations.len() >= KEPT_MAX {
            self.forget();
        }
        self.continuations.insert(key, continuation);
    }
}
