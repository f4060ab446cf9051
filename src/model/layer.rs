//! One transformer layer: attention, then a gated feed-forward.
use crate::kv::KvStorage;
use crate::ops::{HeadNorms, Input, Projection, RmsNorm, Rows, Step, feed_forward, mix};
use candle_core::Result;

pub(super) struct Layer {
    pub(super) attention_norm: RmsNorm,
    /// Queries, keys, values.
    pub(super) qkv: Projection,
    /// Over each head of the queries and keys (Qwen3).
    pub(super) head_norms: Option<HeadNorms>,
    pub(super) o: Projection,
    pub(super) ffn_norm: RmsNorm,
    /// Gate, up.
    pub(super) gate_up: Projection,
    pub(super) down: Projection,
}

/// What all layers of one step share.
pub(super) struct StepContext<'a> {
    pub(super) step: &'a Step,
    pub(super) kv: &'a KvStorage,
}

impl Layer {
    /// `x: [T, E]` to `[T, E]`; writes the rows' keys and values as layer `index`.
    pub(super) fn forward(&self, x: &Rows, index: usize, on: &StepContext<'_>) -> Result<Rows> {
        // 1. Project.
        let qkv = self
            .qkv
            .forward(x, Input::Normed(&self.attention_norm), None)?; // [T, (H + 2K) D]
        // 2. Turn by position, write the cache, then read all of it that each row may see.
        let norms = self.head_norms.as_ref();
        let y = mix(&qkv, on.step, norms, on.kv.layer(index))?; // [T, H D]
        // 3. Mix the heads.
        let x = self.o.forward(&y, Input::Plain, Some(x))?; // [T, E]
        // 4. Feed forward.
        feed_forward(&x, &self.ffn_norm, &self.gate_up, &self.down)
    }

    /// Bytes of its matrices.
    pub(super) fn bytes(&self) -> usize {
        let all = [&self.qkv, &self.o, &self.gate_up, &self.down];
        all.into_iter().map(Projection::bytes).sum()
    }
}
