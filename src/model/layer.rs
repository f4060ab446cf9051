//! One transformer layer: attention, then a gated feed-forward.
use super::batch::BatchStep;
use super::linear::Linear;
use super::rotary::RotaryRows;
use crate::checkpoint::ModelConfig;
use crate::kv::KvStorage;
use crate::ops::{paged_attention, store_kv};
use candle_core::{Result, Tensor};
use candle_nn::ops::{rms_norm, silu};

pub(super) struct Layer {
    pub(super) attention_norm: Tensor, // [E]
    pub(super) q: Linear,
    pub(super) k: Linear,
    pub(super) v: Linear,
    pub(super) o: Linear,
    pub(super) ffn_norm: Tensor, // [E]
    pub(super) gate: Linear,
    pub(super) up: Linear,
    pub(super) down: Linear,
}

impl Layer {
    /// `x: [T, E]` to `[T, E]`; writes the rows' keys and values as layer `index`.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        index: usize,
        config: &ModelConfig,
        rotary: &RotaryRows,
        batch: &BatchStep,
        kv: &KvStorage,
    ) -> Result<Tensor> {
        let h = rms_norm(x, &self.attention_norm, config.rms_eps)?;
        let x = (x + self.attend(&h, index, config, rotary, batch, kv)?)?;
        let h = rms_norm(&x, &self.ffn_norm, config.rms_eps)?;
        let h = (silu(&self.gate.forward(&h)?)? * self.up.forward(&h)?)?;
        x + self.down.forward(&h)?
    }

    fn attend(
        &self,
        x: &Tensor,
        index: usize,
        config: &ModelConfig,
        rotary: &RotaryRows,
        batch: &BatchStep,
        kv: &KvStorage,
    ) -> Result<Tensor> {
        let t = x.dim(0)?;
        let d = config.head_dim;
        // 1. Project, and turn queries and keys by their positions.
        let q = self.q.forward(x)?.reshape((t, config.n_heads, d))?;
        let k = self.k.forward(x)?.reshape((t, config.n_kv_heads, d))?;
        let v = self.v.forward(x)?.reshape((t, config.n_kv_heads, d))?;
        let q = rotary.apply(&q)?; // [T, H, D]
        let k = rotary.apply(&k)?; // [T, K, D]
        // 2. Write the cache, then read all of it that each row may see.
        let (k_cache, v_cache) = kv.layer(index);
        store_kv(k_cache, &k, &batch.slots)?;
        store_kv(v_cache, &v, &batch.slots)?;
        let y = paged_attention(&q, k_cache, v_cache, &batch.spans)?; // [T, H, D]
        // 3. Mix the heads.
        self.o.forward(&y.reshape((t, config.n_heads * d))?)
    }
}
