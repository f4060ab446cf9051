//! One step's input.
use crate::ops::AttentionSpan;

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
}
