//! Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1), absorbed:
//! queries are brought to the latents' space, so that what is cached of a position is one
//! latent and one turned key for all heads.
use super::{Input, LayerCache, Projection, RmsNorm, Rows, Step, mix};
use crate::checkpoint::LatentConfig;
use candle_core::{D, Result, Tensor};

/// One layer's attention over latents.
pub struct LatentAttention {
    config: LatentConfig,
    /// What comes of the hidden state: the queries or their low rank, the turned key, the
    /// latent.
    down: Projection,
    /// From the queries' low rank to the queries, where they have one.
    queries: Option<(RmsNorm, Projection)>,
    latent_norm: RmsNorm,
    /// From a head's still query to the latent's space: `[H, still, kv_rank]` f32.
    keys: Tensor,
    /// From the mixed latents to a head's values: `[H, kv_rank, value]` f32.
    values: Tensor,
    o: Projection,
}

impl LatentAttention {
    /// `queries` end with the turned parts of all heads, then the still ones; without
    /// them `down` begins so. `keys: [H still, kv_rank]`, `values: [H value, kv_rank]`.
    pub fn new(
        config: LatentConfig,
        down: Projection,
        queries: Option<(RmsNorm, Projection)>,
        latent_norm: RmsNorm,
        (keys, values): (&Tensor, &Tensor),
        o: Projection,
    ) -> Result<Self> {
        let (still, rank) = (config.still_dims, config.kv_rank);
        let n_heads = keys.dim(0)? / still;
        let values = values.reshape((n_heads, config.value_dims, rank))?;
        Ok(Self {
            config,
            down,
            queries,
            latent_norm,
            keys: keys.reshape((n_heads, still, rank))?,
            values: values.transpose(1, 2)?.contiguous()?,
            o,
        })
    }

    /// What attention gives for the norm of `x: [T, E]`, `[T, E]`, and `onto` where it is
    /// given. Writes the rows' latents.
    pub fn forward(
        &self,
        x: &Rows,
        norm: &RmsNorm,
        step: &Step,
        cache: LayerCache<'_>,
        onto: Option<&Rows>,
    ) -> Result<Rows> {
        let (h, d, turned) = (
            step.heads.n_heads,
            step.heads.head_dim,
            step.heads.rotary_dims,
        );
        let (still, rank) = (self.config.still_dims, self.config.kv_rank);
        let projected = self.down.forward(x, Input::Normed(norm), None)?;
        let projected = projected.tensor()?;
        let (t, width) = projected.dims2()?;
        let n_first = width - turned - rank;
        let first = projected.narrow(1, 0, n_first)?.contiguous()?;
        let queries = match &self.queries {
            Some((norm, up)) => {
                up.forward_tensor(&norm.forward_tensor(&first)?, Input::Plain, None)?
            }
            None => first,
        };
        let q_turned = queries.narrow(1, 0, h * turned)?.reshape((t, h, turned))?;
        let q_still = queries.narrow(1, h * turned, h * still)?;
        let q_still = q_still.reshape((t, h, still))?.transpose(0, 1)?;
        let q_latent = q_still.contiguous()?.matmul(&self.keys)?; // [H, T, rank]
        let q = Tensor::cat(&[q_turned, q_latent.transpose(0, 1)?], 2)?;
        // The kernels divide scores by the root of what is cached, not of a head.
        let scale = f64::from(self.config.score_scale) * (d as f64).sqrt();
        let q = (q * scale)?.reshape((t, h * d))?;
        let k_turned = projected.narrow(1, n_first, turned)?;
        let latent = projected.narrow(1, n_first + turned, rank)?;
        let latent = self.latent_norm.forward_tensor(&latent.contiguous()?)?;
        // What is mixed is the latent again; its turned part is of no use there.
        let key = Tensor::cat(&[&k_turned, &latent], 1)?;
        let qkv = Tensor::cat(&[&q, &key, &key], 1)?.contiguous()?;
        let mixed = mix(&qkv.into(), step, None, cache)?;
        let mixed = mixed.tensor()?.reshape((t, h, d))?;
        let mixed = mixed.narrow(D::Minus1, turned, rank)?.transpose(0, 1)?;
        let y = mixed.contiguous()?.matmul(&self.values)?; // [H, T, value]
        let y = y.transpose(0, 1)?.contiguous()?;
        let y = y.reshape((t, h * self.config.value_dims))?;
        self.o.forward(&y.into(), Input::Plain, onto)
    }

    /// Bytes of its matrices.
    pub fn bytes(&self) -> usize {
        let up = self.queries.as_ref().map_or(0, |(_, up)| up.bytes());
        let plain = 4 * (self.keys.elem_count() + self.values.elem_count());
        self.down.bytes() + up + plain + self.o.bytes()
    }
}
