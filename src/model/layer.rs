//! One transformer layer: attention, then a feed-forward.
use crate::kv::KvStorage;
use crate::ops::{
    HeadNorms, Input, LatentAttention, LayerCache, Mixture, Projection, RmsNorm, Rows, Step,
    feed_forward, mix,
};
use candle_core::Result;

pub(super) struct Layer {
    pub(super) attention_norm: RmsNorm,
    pub(super) attention: Attention,
    pub(super) ffn_norm: RmsNorm,
    pub(super) ffn: FeedForward,
    /// Over what each half gives (GLM-4).
    pub(super) post_norms: Option<PostNorms>,
}

pub(super) enum Attention {
    Grouped {
        /// Queries, keys, values.
        qkv: Projection,
        /// Over each head of the queries and keys (Qwen3).
        head_norms: Option<HeadNorms>,
        o: Projection,
    },
    Latent(LatentAttention),
}

pub(super) enum FeedForward {
    Dense {
        /// Gate, up.
        gate_up: Projection,
        down: Projection,
    },
    Mixture(Mixture),
}

pub(super) struct PostNorms {
    pub(super) attention: RmsNorm,
    pub(super) ffn: RmsNorm,
}

/// What all layers of one step share.
pub(super) struct StepContext<'a> {
    pub(super) step: &'a Step,
    pub(super) kv: &'a KvStorage,
}

impl Layer {
    /// True where a GPU's step does nothing but launch kernels, the same for any rows.
    pub(super) fn only_launches(&self) -> bool {
        matches!(
            (&self.attention, &self.ffn),
            (Attention::Grouped { .. }, FeedForward::Dense { .. })
        )
    }

    /// `x: [T, E]` to `[T, E]`; writes the rows' keys and values as layer `index`.
    pub(super) fn forward(&self, x: &Rows, index: usize, on: &StepContext<'_>) -> Result<Rows> {
        let cache = on.kv.layer(index);
        let (attention, ffn) = (&self.attention, &self.ffn);
        let Some(post) = &self.post_norms else {
            let x = attention.forward(x, &self.attention_norm, on.step, cache, Some(x))?;
            return ffn.forward(&x, &self.ffn_norm, Some(&x));
        };
        let y = attention.forward(x, &self.attention_norm, on.step, cache, None)?;
        let x = x.plus(&post.attention.forward(&y)?)?;
        let y = ffn.forward(&x, &self.ffn_norm, None)?;
        x.plus(&post.ffn.forward(&y)?)
    }

    /// True where a row's results have the same bits whatever other rows there are. Of a
    /// mixture and of latent attention candle's own products are a part.
    pub(super) fn rows_are_independent(&self) -> bool {
        match (&self.attention, &self.ffn) {
            (Attention::Grouped { qkv, o, .. }, FeedForward::Dense { gate_up, down }) => {
                let all = [qkv, o, gate_up, down];
                all.iter()
                    .all(|projection| projection.rows_are_independent())
            }
            _ => false,
        }
    }

    /// Bytes of its matrices that a step of one row reads.
    pub(super) fn step_bytes(&self) -> usize {
        let attention = match &self.attention {
            Attention::Grouped { qkv, o, .. } => qkv.bytes() + o.bytes(),
            Attention::Latent(latent) => latent.bytes(),
        };
        attention
            + match &self.ffn {
                FeedForward::Dense { gate_up, down } => gate_up.bytes() + down.bytes(),
                FeedForward::Mixture(mixture) => mixture.step_bytes(),
            }
    }
}

impl Attention {
    /// Of the norm of `x: [T, E]`: `[T, E]`, and `onto` where it is given.
    fn forward(
        &self,
        x: &Rows,
        norm: &RmsNorm,
        step: &Step,
        cache: LayerCache<'_>,
        onto: Option<&Rows>,
    ) -> Result<Rows> {
        match self {
            Self::Latent(latent) => latent.forward(x, norm, step, cache, onto),
            Self::Grouped { qkv, head_norms, o } => {
                let qkv = qkv.forward(x, Input::Normed(norm), None)?; // [T, (H + 2K) D]
                // Turn by position, write the cache, then read all of it that each row
                // may see.
                let y = mix(&qkv, step, head_norms.as_ref(), cache)?; // [T, H D]
                o.forward(&y, Input::Plain, onto)
            }
        }
    }
}

impl FeedForward {
    /// Of the norm of `x: [T, E]`: `[T, E]`, and `onto` where it is given.
    fn forward(&self, x: &Rows, norm: &RmsNorm, onto: Option<&Rows>) -> Result<Rows> {
        match self {
            Self::Dense { gate_up, down } => feed_forward(x, norm, gate_up, down, onto),
            Self::Mixture(mixture) => mixture.forward(x, norm, onto),
        }
    }
}
