//! The rows that one batch may have.

/// Rows of one batch at most. A product over 512 rows has long stopped being
/// bound by reading the weights, and a chunk's activations stay within cache.
pub(super) const BATCH_ROWS_MAX: usize = 512;

/// Rows of logits of one batch at most: a row of a 150,000-token vocabulary
/// takes 0.6 MB, so that 512 of them would take more than the activations.
pub(super) const LOGIT_ROWS_MAX: usize = 64;
