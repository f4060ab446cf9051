//! One step's input.
use crate::ops::{AttentionSpan, BLOCK_SIZE};

/// Rows of several sequences, prefill chunks and decode rows mixed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchStep {
    /// Token of each row, `[T]`.
    pub tokens: Vec<u32>,
    /// Position of each row in its sequence, `[T]`.
    pub positions: Vec<u32>,
    /// Where each row's keys and values go, `[T]`.
    pub slots: Vec<u32>,
    /// Which rows belong together and what they see; covers rows `0..T` in order.
    pub spans: Vec<AttentionSpan>,
    /// Rows whose logits are asked for, ascending, `[R]`.
    pub logit_rows: Vec<u32>,
}

impl BatchStep {
    /// Adds one sequence's rows: `tokens` at positions `start..`, held by `blocks`.
    /// The last `n_logits` of them are asked for logits.
    pub fn push(
        &mut self,
        tokens: &[u32],
        start: usize,
        slots: &[u32],
        blocks: Vec<u32>,
        n_logits: usize,
    ) {
        assert_eq!(tokens.len(), slots.len(), "one slot for each row");
        assert!(
            n_logits <= tokens.len(),
            "logits of rows that are not there"
        );
        let first = self.tokens.len();
        let rows = first..first + tokens.len();
        self.tokens.extend_from_slice(tokens);
        self.positions
            .extend((start..start + tokens.len()).map(|p| p as u32));
        self.slots.extend_from_slice(slots);
        self.logit_rows
            .extend((rows.end - n_logits..rows.end).map(|row| row as u32));
        self.spans.push(AttentionSpan {
            rows,
            start,
            blocks,
        });
    }

    /// Makes every block the one that stands `by` further in the storage.
    pub fn move_blocks(&mut self, by: u32) {
        if by == 0 {
            return;
        }
        for slot in &mut self.slots {
            *slot += by * BLOCK_SIZE as u32;
        }
        for block in self.spans.iter_mut().flat_map(|span| &mut span.blocks) {
            *block += by;
        }
    }

    /// Adds the rows of another step behind the present ones.
    pub fn extend(&mut self, other: &Self) {
        let first = self.tokens.len();
        self.tokens.extend_from_slice(&other.tokens);
        self.positions.extend_from_slice(&other.positions);
        self.slots.extend_from_slice(&other.slots);
        let logit_rows = other.logit_rows.iter().map(|row| first as u32 + row);
        self.logit_rows.extend(logit_rows);
        self.spans
            .extend(other.spans.iter().map(|span| AttentionSpan {
                rows: first + span.rows.start..first + span.rows.end,
                start: span.start,
                blocks: span.blocks.clone(),
            }));
    }
}
