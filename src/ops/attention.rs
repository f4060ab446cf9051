//! Causal attention of a ragged batch over a paged cache.
use super::BLOCK_SIZE;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use std::ops::Range;
use std::sync::Mutex;

/// Consecutive batch rows of one sequence: a prefill chunk, or one decode row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttentionSpan {
    /// Rows `[rows.start, rows.end)` of the batch.
    pub rows: Range<usize>,
    /// Position of the first row in its sequence: row `r` sees positions
    /// `[0, start + (r - rows.start)]`.
    pub start: usize,
    /// Blocks of the sequence, in order, covering every position seen.
    pub blocks: Vec<u32>,
}

/// `softmax(q kᵀ / sqrt(D)) v` for every row over the positions it sees.
///
/// Shapes: `q: [T, H, D]`, caches `[N, K, S, D]`, result `[T, H, D]`, all f32;
/// H is a multiple of K (grouped queries). The spans cover rows `0..T` in order.
/// Cost on a CPU: each row reads `2 * K * D` floats for every position it sees.
pub fn paged_attention(
    q: &Tensor,
    k_cache: &Tensor,
    v_cache: &Tensor,
    spans: &[AttentionSpan],
) -> Result<Tensor> {
    let (t, h, d) = q.dims3()?;
    let (n, k, s, kd) = k_cache.dims4()?;
    if kd != d || s != BLOCK_SIZE || h % k != 0 || v_cache.dims() != k_cache.dims() {
        bail!(
            "paged_attention: q [{t}, {h}, {d}], caches {:?} and {:?}",
            k_cache.dims(),
            v_cache.dims()
        );
    }
    let mut next_row = 0;
    for span in spans {
        let seen = span.start + span.rows.len();
        if span.rows.start != next_row || span.rows.is_empty() || span.blocks.len() * s < seen {
            bail!(
                "paged_attention: a span of rows {:?} from {} over {} blocks",
                span.rows,
                span.start,
                span.blocks.len()
            );
        }
        if let Some(block) = span.blocks.iter().find(|&&b| b as usize >= n) {
            bail!("paged_attention: block {block} in a cache of {n} blocks");
        }
        next_row = span.rows.end;
    }
    if next_row != t {
        bail!("paged_attention: spans cover {next_row} of {t} rows");
    }
    q.contiguous()?
        .apply_op3_no_bwd(k_cache, v_cache, &PagedAttention { spans })
}

struct PagedAttention<'a> {
    spans: &'a [AttentionSpan],
}

/// One row and one key/value head: the unit of work, and of its result.
struct Unit<'a, 'o> {
    span: &'a AttentionSpan,
    /// Positions seen.
    seen: usize,
    head: usize,
    /// `[G, D]`, G = H / K.
    q: &'a [f32],
    out: &'o mut [f32],
}

impl CustomOp3 for PagedAttention<'_> {
    fn name(&self) -> &'static str {
        "paged_attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        q_layout: &Layout,
        k_cache: &CpuStorage,
        k_layout: &Layout,
        v_cache: &CpuStorage,
        v_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (t, h, d) = q_layout.shape().dims3()?;
        let (_, k, _, _) = k_layout.shape().dims4()?;
        let group = h / k;
        let q = &q.as_slice::<f32>()?[q_layout.start_offset()..];
        let k_cache = &k_cache.as_slice::<f32>()?[k_layout.start_offset()..];
        let v_cache = &v_cache.as_slice::<f32>()?[v_layout.start_offset()..];

        let mut out = vec![0f32; t * h * d];
        let mut out_units = out.chunks_exact_mut(group * d);
        let mut units = Vec::with_capacity(t * k);
        for span in self.spans {
            for row in span.rows.clone() {
                for head in 0..k {
                    let at = (row * h + head * group) * d;
                    units.push(Mutex::new(Unit {
                        span,
                        seen: span.start + row - span.rows.start + 1,
                        head,
                        q: &q[at..at + group * d],
                        out: out_units.next().expect("one output for each row and head"),
                    }));
                }
            }
        }
        // candle's products run on this pool, whose idle workers spin: a second
        // pool would fight it for the cores. Each unit is locked once, by the
        // worker that computes it.
        candle_core::utils::barrier_pool().execute_chunked(units.len(), |range| {
            let mut scores = Vec::new();
            for unit in &units[range] {
                let mut unit = unit.lock().expect("a unit's lock is taken once");
                attend(&mut unit, k_cache, v_cache, k, d, &mut scores);
            }
        });
        drop(units);
        Ok((CpuStorage::F32(out), Shape::from((t, h, d))))
    }
}

/// Fills `unit.out`. `scores` is scratch: `[G, seen]`.
fn attend(
    unit: &mut Unit<'_, '_>,
    k_cache: &[f32],
    v_cache: &[f32],
    n_kv_heads: usize,
    d: usize,
    scores: &mut Vec<f32>,
) {
    let group = unit.q.len() / d;
    let seen = unit.seen;
    let scale = 1.0 / (d as f32).sqrt();
    scores.clear();
    scores.resize(group * seen, 0.0);
    let base_of = |block: u32| (block as usize * n_kv_heads + unit.head) * BLOCK_SIZE * d;

    for (index, &block) in unit.span.blocks[..seen.div_ceil(BLOCK_SIZE)]
        .iter()
        .enumerate()
    {
        let first = index * BLOCK_SIZE;
        let keys = &k_cache[base_of(block)..][..(seen - first).min(BLOCK_SIZE) * d];
        for (offset, key) in keys.chunks_exact(d).enumerate() {
            for (g, query) in unit.q.chunks_exact(d).enumerate() {
                scores[g * seen + first + offset] = dot(query, key) * scale;
            }
        }
    }
    for row in scores.chunks_exact_mut(seen) {
        softmax(row);
    }
    for (index, &block) in unit.span.blocks[..seen.div_ceil(BLOCK_SIZE)]
        .iter()
        .enumerate()
    {
        let first = index * BLOCK_SIZE;
        let values = &v_cache[base_of(block)..][..(seen - first).min(BLOCK_SIZE) * d];
        for (g, out) in unit.out.chunks_exact_mut(d).enumerate() {
            let weights = &scores[g * seen + first..][..values.len() / d];
            for (value, &weight) in values.chunks_exact(d).zip(weights) {
                for (o, &v) in out.iter_mut().zip(value) {
                    *o += weight * v;
                }
            }
        }
    }
}

/// Inner product in 16 lanes, which the compiler keeps in one vector register.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    let mut lanes = [0f32; LANES];
    for (x, y) in a_chunks.iter().zip(b_chunks) {
        for i in 0..LANES {
            lanes[i] += x[i] * y[i];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum();
    lanes.iter().sum::<f32>() + rest
}

/// In place, shifted by the maximum.
fn softmax(row: &mut [f32]) {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for x in row.iter_mut() {
        *x = (*x - max).exp();
        sum += *x;
    }
    let scale = 1.0 / sum;
    row.iter_mut().for_each(|x| *x *= scale);
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{D, DType, Device};

    /// f32 sums of a few dozen terms of order 1, in another order.
    const TOLERANCE: f32 = 2e-6;

    #[test]
    fn attention_over_scattered_blocks_equals_dense_attention() -> Result<()> {
        let device = Device::Cpu;
        let (h, k, d, n) = (4, 2, 20, 8);
        let blocks = vec![5u32, 2, 7];
        let (start, rows) = (30, 7);
        let seen = start + rows;
        let dense_k = Tensor::randn(0f32, 1.0, (seen, k, d), &device)?;
        let dense_v = Tensor::randn(0f32, 1.0, (seen, k, d), &device)?;
        let q = Tensor::randn(0f32, 1.0, (rows, h, d), &device)?;
        let k_cache = Tensor::zeros((n, k, BLOCK_SIZE, d), DType::F32, &device)?;
        let v_cache = Tensor::zeros((n, k, BLOCK_SIZE, d), DType::F32, &device)?;
        let slots: Vec<u32> = (0..seen)
            .map(|p| blocks[p / BLOCK_SIZE] * BLOCK_SIZE as u32 + (p % BLOCK_SIZE) as u32)
            .collect();
        super::super::store_kv(&k_cache, &dense_k, &slots)?;
        super::super::store_kv(&v_cache, &dense_v, &slots)?;

        let span = AttentionSpan {
            rows: 0..rows,
            start,
            blocks,
        };
        let paged = paged_attention(&q, &k_cache, &v_cache, &[span])?;

        for row in 0..rows {
            for head in 0..h {
                let visible = start + row + 1;
                let query = q.get(row)?.get(head)?.unsqueeze(0)?; // [1, D]
                let keys = dense_k
                    .narrow(0, 0, visible)?
                    .narrow(1, head / (h / k), 1)?
                    .squeeze(1)?;
                let values = dense_v
                    .narrow(0, 0, visible)?
                    .narrow(1, head / (h / k), 1)?
                    .squeeze(1)?;
                let scores = (query.matmul(&keys.contiguous()?.t()?)? / (d as f64).sqrt())?;
                let weights = candle_nn::ops::softmax(&scores, D::Minus1)?;
                let want = weights.matmul(&values.contiguous()?)?.squeeze(0)?;
                let got = paged.get(row)?.get(head)?;
                let diff = (want - got)?.abs()?.max(0)?.to_scalar::<f32>()?;
                assert!(diff < TOLERANCE, "row {row} head {head}: {diff}");
            }
        }
        Ok(())
    }

    #[test]
    fn a_span_that_sees_past_its_blocks_is_refused() -> Result<()> {
        let cache = Tensor::zeros((2, 1, BLOCK_SIZE, 4), DType::F32, &Device::Cpu)?;
        let q = Tensor::zeros((1, 1, 4), DType::F32, &Device::Cpu)?;
        let span = AttentionSpan {
            rows: 0..1,
            start: BLOCK_SIZE,
            blocks: vec![0],
        };
        assert!(paged_attention(&q, &cache, &cache, &[span]).is_err());
        Ok(())
    }
}
