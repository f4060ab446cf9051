//! The paged cache: keys and values in, blocks copied.
use super::launch::{Arg, Grid};
use super::{Buffer, Gpu, HeadCounts, Result, View};
use crate::BLOCK_SIZE;
use half::bf16;

/// Weights `[D]` of a norm over each head before it is turned (Qwen3).
#[derive(Clone, Copy)]
pub struct HeadNorms<'a> {
    pub queries: View<'a, f32>,
    pub keys: View<'a, f32>,
    pub eps: f32,
}

/// What turns a row's heads, and where its keys and values go.
#[derive(Clone, Copy)]
pub struct Turn<'a> {
    /// `[context, D / 2]`
    pub cos: View<'a, f32>,
    /// `[context, D / 2]`
    pub sin: View<'a, f32>,
    /// `[T]`, each below the context: the caller's to check.
    pub positions: View<'a, u32>,
    /// `[T]`, each within the cache: the caller's to check.
    pub slots: View<'a, u32>,
    pub norms: Option<HeadNorms<'a>>,
}

impl Gpu {
    /// Takes `rows: [T, (H + 2 K) D]`, queries before keys before values, turns queries
    /// and keys, writes keys and values `[N, K, S, D]` (in the kernels' own order within
    /// a block) and gives the queries `[T, H, D]`.
    pub fn turn_and_store(
        &self,
        shape: HeadCounts,
        rows: View<'_, f32>,
        turn: Turn<'_>,
        keys: View<'_, bf16>,
        values: View<'_, bf16>,
    ) -> Result<Buffer<bf16>> {
        let HeadCounts {
            n_heads,
            n_kv_heads,
            head_dim: d,
        } = shape;
        let t = turn.slots.len();
        let n_all = n_heads + 2 * n_kv_heads;
        assert!(
            shape.is_supported()
                && rows.len() == t * n_all * d
                && turn.positions.len() == t
                && turn.cos.len() == turn.sin.len()
                && keys.len() == values.len()
                && keys.len().is_multiple_of(n_kv_heads * BLOCK_SIZE * d)
                && turn
                    .norms
                    .is_none_or(|norms| norms.queries.len() == d && norms.keys.len() == d),
            "{t} rows of {n_all} heads of {d} in {} values",
            rows.len()
        );
        let eps = turn.norms.map_or(0.0, |norms| norms.eps);
        // SAFETY: all of `q` is written; positions and slots are the caller's promise.
        unsafe {
            let q = self.uninit(t * n_heads * d)?;
            let args = [
                rows.into(),
                turn.cos.into(),
                turn.sin.into(),
                turn.positions.into(),
                turn.slots.into(),
                Arg::optional(turn.norms.map(|norms| norms.queries)),
                Arg::optional(turn.norms.map(|norms| norms.keys)),
                Arg::Float(eps),
                (&q).into(),
                keys.into(),
                values.into(),
                Arg::int(n_heads),
                Arg::int(n_kv_heads),
                Arg::int(d),
            ];
            let grid = Grid {
                blocks: (t, n_all.div_ceil(4)),
                threads: 128,
            };
            self.launch("turn_and_store", grid, &args)?;
            Ok(q)
        }
    }

    /// Copies block `from` over block `to` for each pair, in each plane of `cache:
    /// [planes, N, block]`, in one launch: all layers' keys and values lie in one cache.
    ///
    /// Panics where a block is past the cache.
    pub fn copy_blocks(
        &self,
        cache: View<'_, bf16>,
        planes: usize,
        n_blocks: usize,
        copies: &[(u32, u32)],
    ) -> Result<()> {
        let block = cache.len() / (planes * n_blocks).max(1);
        assert!(
            cache.len() == planes * n_blocks * block && block.is_multiple_of(8),
            "{planes} planes of {n_blocks} blocks in {} values",
            cache.len()
        );
        let within = |&(from, to): &(u32, u32)| from.max(to) < n_blocks as u32;
        assert!(copies.iter().all(within), "a copy past {n_blocks} blocks");
        if copies.is_empty() {
            return Ok(());
        }
        let flat: Vec<u32> = copies.iter().flat_map(|&(from, to)| [from, to]).collect();
        let flat = self.upload(&flat)?;
        let vectors = block / 8; // of 16 bytes
        let args = [
            cache.into(),
            (&flat).into(),
            Arg::Size(n_blocks * vectors),
            Arg::int(vectors),
        ];
        let grid = Grid {
            blocks: (copies.len(), planes),
            threads: 256,
        };
        // SAFETY: every block lies within its plane, as was checked.
        unsafe { self.launch("copy_blocks", grid, &args) }
    }
}
