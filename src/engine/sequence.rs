//! A sequence: its tokens, and how much of it the cache holds.
use crate::kv::{BlockPool, BlockTable};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A row of raw logits, `[V]` f32.
pub(super) type LogitsRow = Arc<[f32]>;

/// Tokens `[0, table.len())` are in the cache, the rest is pending.
pub(super) struct Sequence {
    pub(super) tokens: Vec<u32>,
    pub(super) table: BlockTable,
    /// Rows of logits kept by the length that they follow: where a generation
    /// started, so that a fork from there samples without running anything.
    rows: BTreeMap<usize, LogitsRow>,
    /// Pending tokens before this position were decoded here: running them is
    /// already counted, as decoded.
    pub(super) decoded_end: usize,
}

impl Sequence {
    pub(super) fn new(pool: &BlockPool) -> Self {
        Self {
            tokens: Vec::new(),
            table: BlockTable::new(pool),
            rows: BTreeMap::new(),
            decoded_end: 0,
        }
    }

    pub(super) fn n_pending(&self) -> usize {
        self.tokens.len() - self.table.len()
    }

    /// The row of logits after the last token, if it is at hand.
    pub(super) fn last_row(&self) -> Option<&LogitsRow> {
        self.rows.get(&self.tokens.len())
    }

    pub(super) fn keep_last_row(&mut self, row: LogitsRow) {
        debug_assert_eq!(self.n_pending(), 0, "a row follows computed tokens");
        self.rows.insert(self.tokens.len(), row);
    }

    /// The first `len` tokens, sharing every cached block and kept row.
    pub(super) fn fork(&self, len: usize) -> Self {
        Self {
            tokens: self.tokens[..len].to_vec(),
            table: self.table.fork(len.min(self.table.len())),
            rows: self
                .rows
                .range(..=len)
                .map(|(at, row)| (*at, row.clone()))
                .collect(),
            decoded_end: 0,
        }
    }

    /// Every token is pending again.
    pub(super) fn forget_cache(&mut self) {
        self.table = self.table.fork(0);
        self.decoded_end = 0;
    }

    /// Makes sure that the next run yields the row after the last token: if all
    /// is cached but the row is not, the last token is pending again. True then.
    pub(super) fn want_last_row(&mut self) -> bool {
        let rerun = self.n_pending() == 0 && self.last_row().is_none() && !self.tokens.is_empty();
        if rerun {
            self.table = self.table.fork(self.tokens.len() - 1);
            self.decoded_end = 0;
        }
        rerun
    }
}
