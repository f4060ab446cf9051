//! One layer's attention by candle's operations alone: what every device without kernels
//! of its own falls back on.
use super::norm::{HeadNorms, RmsNorm};
use super::{AttentionSpan, BLOCK_SIZE, Heads};
use candle_core::{D, DType, Device, Result, Tensor};
use candle_nn::ops::softmax;

/// A step's indices, on the device.
pub(super) struct CompositeStep {
    /// Where each number of the rows' keys goes in the flat cache, `[T K D]`, and of the
    /// values.
    key_places: Tensor,
    value_places: Tensor,
    spans: Vec<CompositeSpan>,
}

struct CompositeSpan {
    first_row: usize,
    n_rows: usize,
    blocks: Tensor,
    /// 0 where a row sees a position, `-inf` where not: `[n_rows, positions]`.
    mask: Tensor,
}

impl CompositeStep {
    /// Plans for spans that cover the rows in order. `value_dim` is that of the cache.
    pub(super) fn new(
        heads: Heads,
        spans: &[AttentionSpan],
        slots: &[u32],
        value_dim: usize,
        device: &Device,
    ) -> Result<Self> {
        let (k, d) = (heads.n_kv_heads as u32, heads.head_dim as u32);
        let s = BLOCK_SIZE as u32;
        let places = |of: &dyn Fn(u32, u32, u32, u32) -> u32| -> Result<Tensor> {
            let mut places = Vec::new();
            for &slot in slots {
                for head in 0..k {
                    places.extend((0..d).map(|i| of(slot / s, slot % s, head, i)));
                }
            }
            Tensor::new(places, device)
        };
        let vd = value_dim as u32;
        let span = |span: &AttentionSpan| {
            let n_rows = span.rows.len();
            let seen = span.start + n_rows;
            let blocks = &span.blocks[..seen.div_ceil(BLOCK_SIZE)];
            let positions = blocks.len() * BLOCK_SIZE;
            let masked = |i: usize| match i % positions <= span.start + i / positions {
                true => 0f32,
                false => f32::NEG_INFINITY,
            };
            let mask: Vec<f32> = (0..n_rows * positions).map(masked).collect();
            Ok(CompositeSpan {
                first_row: span.rows.start,
                n_rows,
                blocks: Tensor::new(blocks, device)?,
                mask: Tensor::from_vec(mask, (n_rows, positions), device)?,
            })
        };
        Ok(Self {
            key_places: places(&|block, offset, head, i| {
                ((block * k + head) * d + i) * s + offset
            })?,
            value_places: places(&|block, offset, head, i| {
                ((block * k + head) * s + offset) * vd + i
            })?,
            spans: spans.iter().map(span).collect::<Result<_>>()?,
        })
    }
}

/// As [`super::mix`]: `qkv: [T, (H + 2 K) D]`, `cos` and `sin: [T, R / 2]`, caches as
/// [`super::store_kv`] has them, to `[T, H D]`.
pub(super) fn mix_composite(
    qkv: &Tensor,
    heads: Heads,
    step: &CompositeStep,
    (cos, sin): (&Tensor, &Tensor),
    norms: Option<&HeadNorms>,
    (keys, values): (&Tensor, &Tensor),
) -> Result<Tensor> {
    let Heads {
        n_heads: h,
        n_kv_heads: k,
        head_dim: d,
        ..
    } = heads;
    let part = |first: usize, n: usize, norm: Option<&RmsNorm>| {
        let part = qkv.narrow(1, first * d, n * d)?.contiguous()?;
        let (t, _) = part.dims2()?;
        match norm {
            None => part.reshape((t, n, d)),
            Some(norm) => norm
                .forward_tensor(&part.reshape((t * n, d))?)?
                .reshape((t, n, d)),
        }
    };
    let q = turned(&part(0, h, norms.map(|n| &n.queries))?, cos, sin)?; // [T, H, D]
    let new_keys = turned(&part(h, k, norms.map(|n| &n.keys))?, cos, sin)?; // [T, K, D]
    let new_values = part(h + k, k, None)?;
    for (cache, new, places) in [
        (keys, &new_keys, &step.key_places),
        (values, &new_values, &step.value_places),
    ] {
        // A reshaped contiguous tensor shares its storage: this writes the cache.
        let flat = cache.flatten_all()?;
        flat.scatter_set(places, &new.flatten_all()?.contiguous()?, 0)?;
    }
    let mixed = step.spans.iter().map(|span| {
        let q = q.narrow(0, span.first_row, span.n_rows)?;
        attend(&q, span, heads, keys, values)
    });
    let mixed = mixed.collect::<Result<Vec<_>>>()?;
    match mixed.as_slice() {
        [only] => Ok(only.clone()),
        several => Tensor::cat(several, 0),
    }
}

/// `(a cos - b sin, b cos + a sin)` for the halves a, b of the first R numbers of each
/// head of `x: [T, n, D]`.
fn turned(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
    let (half, d) = (cos.dim(1)?, x.dim(2)?);
    let (a, b) = (x.narrow(2, 0, half)?, x.narrow(2, half, half)?);
    let (cos, sin) = (cos.unsqueeze(1)?, sin.unsqueeze(1)?);
    let first = (a.broadcast_mul(&cos)? - b.broadcast_mul(&sin)?)?;
    let second = (b.broadcast_mul(&cos)? + a.broadcast_mul(&sin)?)?;
    let rest = x.narrow(2, 2 * half, d - 2 * half)?;
    Tensor::cat(&[first, second, rest], 2)?.contiguous()
}

/// One span's rows over its blocks: `q: [R, H, D]` to `[R, H D]`.
fn attend(
    q: &Tensor,
    span: &CompositeSpan,
    heads: Heads,
    keys: &Tensor,
    values: &Tensor,
) -> Result<Tensor> {
    let (k, d) = (heads.n_kv_heads, heads.head_dim);
    let group = heads.n_heads / k;
    let (r, positions) = span.mask.dims2()?;
    let keys = keys.index_select(&span.blocks, 0)?; // [n, K, D, S]
    let keys = keys.permute((1, 2, 0, 3))?.contiguous()?;
    let keys = keys.reshape((k, d, positions))?;
    let values = values.index_select(&span.blocks, 0)?.narrow(3, 0, d)?; // [n, K, S, D]
    let values = values.transpose(0, 1)?.contiguous()?;
    let values = values.reshape((k, positions, d))?;
    let q = q.reshape((r, k, group, d))?.permute((1, 2, 0, 3))?;
    let q = q.contiguous()?.reshape((k, group * r, d))?;
    let scores = (q.matmul(&keys)? * (1.0 / (d as f64).sqrt()))?;
    let scores = scores.reshape((k, group, r, positions))?;
    let weights = softmax(&scores.broadcast_add(&span.mask)?, D::Minus1)?;
    let weights = weights.reshape((k, group * r, positions))?;
    let mixed = weights.matmul(&values)?.reshape((k, group, r, d))?;
    let mixed = mixed.permute((2, 0, 1, 3))?.contiguous()?;
    mixed.reshape((r, heads.n_heads * d))?.to_dtype(DType::F32)
}
