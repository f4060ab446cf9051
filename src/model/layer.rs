//! One transformer layer: attention, then a gated feed-forward.
use super::batch::BatchStep;
use super::rotary::RotaryRows;
use crate::checkpoint::ModelConfig;
use crate::kv::KvStorage;
use crate::ops::{AttentionPlan, Input, Projection, RmsNorm, paged_attention, rotate, store_kv};
use candle_core::{Result, Tensor};

pub(super) struct Layer {
    pub(super) attention_norm: RmsNorm,
    /// Queries, keys, values.
    pub(super) qkv: Projection,
    pub(super) o: Projection,
    pub(super) ffn_norm: RmsNorm,
    /// Gate, up.
    pub(super) gate_up: Projection,
    pub(super) down: Projection,
}

/// What all layers of one step share.
pub(super) struct StepContext<'a> {
    pub(super) config: &'a ModelConfig,
    pub(super) batch: &'a BatchStep,
    pub(super) plan: &'a AttentionPlan,
    pub(super) rotary: &'a RotaryRows,
    pub(super) kv: &'a KvStorage,
}

impl Layer {
    /// `x: [T, E]` to `[T, E]`; writes the rows' keys and values as layer `index`.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        index: usize,
        step: &StepContext<'_>,
    ) -> Result<Tensor> {
        let config = step.config;
        // 1. Project, and turn queries and keys by their positions.
        let qkv = self
            .qkv
            .forward(x, Input::Normed(&self.attention_norm), None)?; // [T, (H + 2K) D]
        let (cos, sin) = (&step.rotary.cos, &step.rotary.sin);
        rotate(&qkv, config.n_heads + config.n_kv_heads, cos, sin)?;
        // 2. Write the cache, then read all of it that each row may see.
        let (keys, values) = step.kv.layer(index);
        let first_key = config.n_heads * config.head_dim;
        store_kv(keys, values, &qkv, first_key, &step.batch.slots)?;
        let y = paged_attention(&qkv, config.n_heads, keys, values, step.plan)?; // [T, H D]
        // 3. Mix the heads.
        let x = self.o.forward(&y, Input::Plain, Some(x))?; // [T, E]
        // 4. Feed forward.
        let gate_up = self
            .gate_up
            .forward(&x, Input::Normed(&self.ffn_norm), None)?; // [T, 2F]
        self.down.forward(&gate_up, Input::Gated, Some(&x))
    }

    /// Bytes of its matrices.
    pub(super) fn bytes(&self) -> usize {
        let all = [&self.qkv, &self.o, &self.gate_up, &self.down];
        all.into_iter().map(Projection::bytes).sum()
    }
}
