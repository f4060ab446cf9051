//! Weights and the forward pass. Stateless: the batch and the KV storage are
//! arguments, so one loaded model serves any number of branches.
mod batch;
mod decoder;
mod layer;
mod rotary;

pub use batch::BatchStep;
pub use decoder::Decoder;

use crate::checkpoint::CheckpointError;
use crate::kv::KvStorage;
use crate::ops::Rows;
use candle_core::Result;

/// A causal language model that owns weights and nothing else.
pub trait CausalLm: Send + Sync {
    /// Runs a ragged batch, writing its keys and values into `kv`.
    ///
    /// Result: the normalised hidden states of the rows that the batch asks
    /// logits of, `[R, E]` f32.
    fn forward(&self, batch: &BatchStep, kv: &KvStorage) -> Result<Rows>;

    /// Raw logits of hidden rows: `[R, E]` to `[R, V]` f32.
    fn logits(&self, hidden: &Rows) -> Result<Rows>;

    /// True where a row's results have the same bits whatever other rows a batch has: a step
    /// may then be of any length.
    fn rows_are_independent(&self) -> bool;

    /// Bytes of weights that a step of any number of rows reads at least.
    fn step_bytes(&self) -> usize;
}

/// What keeps a model from being loaded.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("the weights cannot be set up: {0}")]
    Tensor(#[from] candle_core::Error),
}
