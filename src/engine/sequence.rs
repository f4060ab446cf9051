//! A sequence: its tokens, and how much of it the cache holds.
use super::api::PrefixCache;
use crate::kv::{BLOCK_SIZE, BlockPool, BlockTable};
use crate::ops::LogitsRow;
use std::collections::BTreeMap;

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
    pub(super) prefix: PrefixCache,
}

/// Tokens that a sequence took over of the prefix cache, and that had not been
/// counted as decoded.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TakenOver {
    /// Served by the cache.
    pub(super) n_reused: usize,
    /// Served by it too, and counted as computed: an empty cache had not had them.
    pub(super) n_billed: usize,
}

impl Sequence {
    pub(super) fn new(pool: &BlockPool, prefix: PrefixCache) -> Self {
        Self {
            tokens: Vec::new(),
            table: BlockTable::new(pool),
            rows: BTreeMap::new(),
            decoded_end: 0,
            prefix,
        }
    }

    pub(super) fn n_pending(&self) -> usize {
        self.tokens.len() - self.table.len()
    }

    /// Tokens that were computed, taken over or decoded here.
    pub(super) fn n_seen(&self) -> usize {
        self.table
            .len()
            .max(self.decoded_end.min(self.tokens.len()))
    }

    /// The row of logits after the last token, if it is at hand.
    pub(super) fn last_row(&self) -> Option<&LogitsRow> {
        self.rows.get(&self.tokens.len())
    }

    pub(super) fn keep_last_row(&mut self, row: LogitsRow) {
        debug_assert_eq!(self.n_pending(), 0, "a row follows computed tokens");
        self.rows.insert(self.tokens.len(), row);
    }

    pub(super) fn drop_last_row(&mut self) {
        self.rows.remove(&self.tokens.len());
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
            prefix: self.prefix,
        }
    }

    /// Of `[start, end)`, how many positions nothing was counted for yet.
    pub(super) fn n_uncounted(&self, start: usize, end: usize) -> usize {
        end.saturating_sub(self.decoded_end.max(start))
    }

    /// Takes over what the prefix cache has of the pending tokens, all but the
    /// last `n_run`, which are to be run.
    pub(super) fn attach(&mut self, n_run: usize) -> TakenOver {
        let bypasses = self.prefix == PrefixCache::Bypass;
        if bypasses && !self.table.keeps_bills() {
            return TakenOver::default();
        }
        let start = self.table.len();
        let attached = self.table.attach(&self.tokens, self.tokens.len() - n_run);
        // Who bypasses the cache pays for everything, whoever paid for it before.
        let billed_end = if bypasses { start } else { attached.billed_end };
        TakenOver {
            n_reused: self.n_uncounted(start, billed_end),
            n_billed: self.n_uncounted(billed_end, attached.end),
        }
    }

    /// What was taken over or computed is paid for from here on.
    pub(super) fn put_on_bill(&self) {
        if self.prefix == PrefixCache::Use && self.table.keeps_bills() {
            self.table.put_on_bill();
        }
    }

    /// Lets the prefix cache know of what a step has computed of positions `[start, end)`.
    pub(super) fn register(&mut self, start: usize, end: usize) {
        if self.prefix == PrefixCache::Use || self.table.keeps_bills() {
            self.table.register(&self.tokens[..end], start);
        }
    }

    /// Takes the tokens from `len` on off the sequence, and those of the cache from `len_kv`
    /// on. Nothing of them may have been counted or registered. Gives how many of the cache.
    pub(super) fn cut(&mut self, len: usize, len_kv: usize) -> usize {
        self.tokens.truncate(len);
        let n_cut = self.table.len().saturating_sub(len_kv);
        if n_cut > 0 {
            self.table = self.table.fork(len_kv);
        }
        n_cut
    }

    /// Every token is pending again. Gives how many had been counted.
    pub(super) fn forget_cache(&mut self) -> usize {
        let counted = self.table.len().max(self.decoded_end);
        self.table = self.table.fork(0);
        self.decoded_end = 0;
        counted
    }

    /// Positions from `start` on are pending again, and those of the block that it lies in,
    /// which may have been about to be copied. Gives how many will be counted once more.
    pub(super) fn forget_from(&mut self, start: usize) -> usize {
        let kept = start / BLOCK_SIZE * BLOCK_SIZE;
        let counted = self.n_uncounted(kept, self.table.len());
        self.table = self.table.fork(kept);
        counted
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
