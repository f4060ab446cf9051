//! Causal attention of a ragged batch over a paged cache.
use super::plan::AttentionPlan;
use super::slice::host;
use crate::base::Pool;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use egss_kernels::{Attention, HeadShape, Isa, attend};

/// `softmax(q kᵀ / sqrt(D)) v` for every row over the positions it sees.
///
/// Shapes: `rows: [T, width]` with a row's queries `[H, D]` from column 0 on, caches
/// as in [`super::store_kv`], result `[T, H * D]`, all f32; H is a multiple of K
/// (grouped queries). Cost on a CPU: each piece of the plan reads its `2 * K * D`
/// floats a position once for all its rows.
pub fn paged_attention(
    rows: &Tensor,
    n_heads: usize,
    keys: &Tensor,
    values: &Tensor,
    plan: &AttentionPlan,
) -> Result<Tensor> {
    let (t, width) = rows.dims2()?;
    let (n, k, d, s) = keys.dims4()?;
    let shape = HeadShape {
        n_heads,
        n_kv_heads: k,
        head_dim: d,
    };
    if s != super::BLOCK_SIZE
        || values.dims() != [n, k, s, shape.value_dim()]
        || !n_heads.is_multiple_of(k)
        || n_heads * d > width
        || plan.seen.len() != t
    {
        bail!(
            "paged_attention: {n_heads} heads of rows [{t}, {width}], keys [{n}, {k}, {d}, {s}], \
             values {:?}, a plan for {} rows",
            values.dims(),
            plan.seen.len()
        );
    }
    let blocks = plan.pieces.iter().flat_map(|piece| &piece.blocks);
    if let Some(block) = blocks.clone().find(|&&block| block as usize >= n) {
        bail!("paged_attention: block {block} in a cache of {n} blocks");
    }
    rows.apply_op3_no_bwd(keys, values, &PagedAttention { shape, plan })
}

struct PagedAttention<'a> {
    shape: HeadShape,
    plan: &'a AttentionPlan,
}

impl CustomOp3 for PagedAttention<'_> {
    fn name(&self) -> &'static str {
        "paged_attention"
    }

    fn cpu_fwd(
        &self,
        rows: &CpuStorage,
        layout: &Layout,
        keys: &CpuStorage,
        keys_layout: &Layout,
        values: &CpuStorage,
        values_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (t, query_stride) = layout.shape().dims2()?;
        let width = self.shape.n_heads * self.shape.head_dim;
        let mut out = vec![0f32; t * width];
        let attention = Attention {
            shape: self.shape,
            queries: host(rows, layout)?,
            query_stride,
            keys: host(keys, keys_layout)?,
            values: host(values, values_layout)?,
            seen: &self.plan.seen,
            pieces: &self.plan.pieces,
        };
        attend(Isa::best(), &attention, &mut out, &Pool);
        Ok((CpuStorage::F32(out), Shape::from((t, width))))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{AttentionSpan, BLOCK_SIZE, store_kv};
    use super::*;
    use candle_core::{D, DType, Device};

    /// f32 sums of a few dozen terms of order 1, in another order.
    const TOLERANCE: f32 = 2e-6;

    #[test]
    fn attention_over_scattered_blocks_equals_dense_attention() -> Result<()> {
        let device = Device::Cpu;
        let (h, k, d, n) = (4, 2, 20, 8);
        let vd = 32;
        let blocks = vec![5u32, 2, 7];
        let (start, rows) = (30, 7);
        let seen = start + rows;
        // Queries, keys and values of every position side by side.
        let qkv = Tensor::randn(0f32, 1.0, (seen, (h + 2 * k) * d), &device)?;
        let keys = Tensor::zeros((n, k, d, BLOCK_SIZE), DType::F32, &device)?;
        let values = Tensor::zeros((n, k, BLOCK_SIZE, vd), DType::F32, &device)?;
        let slots: Vec<u32> = (0..seen)
            .map(|p| blocks[p / BLOCK_SIZE] * BLOCK_SIZE as u32 + (p % BLOCK_SIZE) as u32)
            .collect();
        store_kv(&keys, &values, &qkv, h * d, &slots)?;

        let plan = AttentionPlan::new(&[AttentionSpan {
            rows: 0..rows,
            start,
            blocks,
        }]);
        let last = qkv.narrow(0, start, rows)?.contiguous()?;
        let paged = paged_attention(&last, h, &keys, &values, &plan)?;

        let part = |row: usize, n: usize, column: usize| -> Result<Tensor> {
            qkv.narrow(0, row, n)?.narrow(1, column, d)?.contiguous()
        };
        for row in 0..rows {
            for head in 0..h {
                let visible = start + row + 1;
                let kv_head = head / (h / k);
                let query = part(start + row, 1, head * d)?;
                let keys = part(0, visible, (h + kv_head) * d)?;
                let values = part(0, visible, (h + k + kv_head) * d)?;
                let scores = (query.matmul(&keys.t()?)? / (d as f64).sqrt())?;
                let weights = candle_nn::ops::softmax(&scores, D::Minus1)?;
                let want = weights.matmul(&values)?.squeeze(0)?;
                let got = paged.get(row)?.narrow(0, head * d, d)?;
                let diff = (want - got)?.abs()?.max(0)?.to_scalar::<f32>()?;
                assert!(diff < TOLERANCE, "row {row} head {head}: {diff}");
            }
        }
        Ok(())
    }

    #[test]
    fn a_block_past_the_cache_is_refused() -> Result<()> {
        let keys = Tensor::zeros((2, 1, 16, BLOCK_SIZE), DType::F32, &Device::Cpu)?;
        let values = Tensor::zeros((2, 1, BLOCK_SIZE, 16), DType::F32, &Device::Cpu)?;
        let q = Tensor::zeros((1, 16), DType::F32, &Device::Cpu)?;
        let plan = AttentionPlan::new(&[AttentionSpan {
            rows: 0..1,
            start: 0,
            blocks: vec![2],
        }]);
        assert!(paged_attention(&q, 1, &keys, &values, &plan).is_err());
        Ok(())
    }

    #[test]
    #[should_panic(expected = "that see 17 positions")]
    fn a_span_that_sees_past_its_blocks_is_refused() {
        AttentionPlan::new(&[AttentionSpan {
            rows: 0..1,
            start: BLOCK_SIZE,
            blocks: vec![0],
        }]);
    }
}
