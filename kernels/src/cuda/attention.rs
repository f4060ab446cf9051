//! Attention over the paged cache.
use super::launch::{Arg, Grid};
use super::{Buffer, Gpu, GpuPlan, Result, View};
use crate::BLOCK_SIZE;
use half::bf16;
use std::f32::consts::LOG2_E;

impl Gpu {
    /// `softmax(q kᵀ / sqrt(D)) v` for each row of the plan: `q: [T, H, D]`, keys and
    /// values of one layer as [`Gpu::turn_and_store`] wrote them, to `[T, H, D]`.
    ///
    /// Panics where a block of the plan is past the cache. Cost: each piece's keys and
    /// values are read once for all its rows.
    pub fn attend(
        &self,
        plan: &GpuPlan,
        q: View<'_, bf16>,
        keys: View<'_, bf16>,
        values: View<'_, bf16>,
    ) -> Result<Buffer<bf16>> {
        let (h, k, d) = (
            plan.shape.n_heads,
            plan.shape.n_kv_heads,
            plan.shape.head_dim,
        );
        let t = plan.n_rows();
        let block = k * BLOCK_SIZE * d;
        assert!(
            q.len() == t * h * d
                && keys.len() == values.len()
                && keys.len().is_multiple_of(block)
                && plan.is_within(keys.len() / block),
            "attention of {} values of queries for {t} rows, {} of keys",
            q.len(),
            keys.len()
        );
        let part = |range: &std::ops::Range<usize>| plan.data.view().slice(range.clone());
        let scale = LOG2_E / (d as f32).sqrt();
        let (attend, merge) = match d {
            32 => ("attend_32", "merge_32"),
            64 => ("attend_64", "merge_64"),
            _ => ("attend_128", "merge_128"),
        };
        // SAFETY: every slot that a row's list names belongs to a piece, whose warps write
        // it; blocks and rows were checked when the plan was made.
        unsafe {
            let sums = self.uninit::<f32>(plan.n_slots * h * d)?;
            let masses = self.uninit::<f32>(plan.n_slots * h * 2)?;
            let out = self.uninit(t * h * d)?;
            let args = [
                q.into(),
                keys.into(),
                values.into(),
                part(&plan.pieces).into(),
                part(&plan.blocks).into(),
                part(&plan.rows).into(),
                part(&plan.seen).into(),
                (&sums).into(),
                (&masses).into(),
                Arg::int(h),
                Arg::int(k),
                Arg::Float(scale),
            ];
            let grid = Grid {
                blocks: (plan.n_pieces(), k),
                threads: 128,
            };
            self.launch(attend, grid, &args)?;
            let args = [
                (&sums).into(),
                (&masses).into(),
                part(&plan.of).into(),
                part(&plan.slots).into(),
                (&out).into(),
                Arg::int(h),
                Arg::int(t * h),
            ];
            let grid = Grid {
                blocks: ((t * h).div_ceil(4), 1),
                threads: 128,
            };
            self.launch(merge, grid, &args)?;
            Ok(out)
        }
    }
}
