//! Attention over a paged cache: softmax on the fly, rows that share blocks
//! together.
//!
//! Work comes as pieces: some rows and a run of blocks that all of them look at.
//! A piece's keys and values are read once for all its rows and all query heads of
//! a group, so a trunk under eight branches is read once, not eight times.
//!
//! A row's result does not depend on what else is in the batch, to the last bit:
//! positions are cut into splits of 128, each gives a maximum, a sum and weighted
//! values for each query, and splits are merged by log-sum-exp in order of position,
//! however they were spread over pieces and threads.
//!
//! Source: the running softmax of Milakov and Gimelshein (arXiv 1805.02867) as in
//! FlashAttention (arXiv 2205.14135); the merge by log-sum-exp as in
//! FlashDecoding and Hydragen (arXiv 2402.05099).
mod ahead;
mod check;
mod chunk;
mod scratch;
mod state;
mod work;

use crate::Isa;
use crate::executor::{Executor, Shared};
use crate::isa::dispatch;
use crate::simd::LANES;
use check::check;
use scratch::Scratch;
use state::{Partials, State, merge};
use work::work;

/// Token positions of a block: a vector's lanes.
pub const BLOCK_SIZE: usize = LANES;

/// Blocks worked on at a time: their keys and values (64 KiB at D = 128) stay in
/// the second-level cache while all queries pass over them.
const CHUNK_BLOCKS: usize = 4;
const CHUNK: usize = CHUNK_BLOCKS * BLOCK_SIZE;

/// Blocks of a split: what shared runs of blocks are multiples of.
pub const SPLIT_BLOCKS: usize = 2 * CHUNK_BLOCKS;
const SPLIT: usize = SPLIT_BLOCKS * BLOCK_SIZE;

/// Below any score, and finite, so that differences of two are never NaN.
const MASKED: f32 = -1e30;

/// Sizes of one layer's attention.
#[derive(Clone, Copy, Debug)]
pub struct HeadShape {
    /// Query heads, H.
    pub n_heads: usize,
    /// Key/value heads, K; divides H.
    pub n_kv_heads: usize,
    /// D.
    pub head_dim: usize,
}

impl HeadShape {
    /// Values of one position of one head in the cache: D, filled up to whole
    /// vectors.
    pub fn value_dim(&self) -> usize {
        value_dim(self.head_dim)
    }
}

/// Values of one position of one head in the cache.
pub fn value_dim(head_dim: usize) -> usize {
    head_dim.next_multiple_of(LANES)
}

/// Rows that look at the same run of blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Rows of the batch.
    pub rows: Vec<u32>,
    /// Position of the first block's first key, a multiple of a split's.
    pub first: usize,
    /// Blocks, in order of position.
    pub blocks: Vec<u32>,
}

/// One layer's queries and cache.
#[derive(Clone, Copy)]
pub struct Attention<'a> {
    /// Of every row.
    pub shape: HeadShape,
    /// Row `t`'s queries are `queries[t * query_stride..][..H * D]`.
    pub queries: &'a [f32],
    /// From one row's queries to the next's, at least H * D.
    pub query_stride: usize,
    /// `[N, K, D, S]`: within a block a vector holds 16 positions of one dimension.
    pub keys: &'a [f32],
    /// `[N, K, S, value_dim]`, zero past D.
    pub values: &'a [f32],
    /// Positions that row `t` sees: `[0, seen[t])`.
    pub seen: &'a [u32],
    /// Together they cover what each row sees, once.
    pub pieces: &'a [Piece],
}

/// `softmax(q kᵀ / sqrt(D)) v` for each row over the positions it sees, to `out:
/// [T, H, D]`.
///
/// Panics where shapes, blocks and pieces do not fit each other.
pub fn attend(isa: Isa, attention: &Attention<'_>, out: &mut [f32], executor: &dyn Executor) {
    let HeadShape {
        n_heads,
        n_kv_heads,
        head_dim,
    } = attention.shape;
    check(attention, out.len());
    let partials = Partials::new(attention);
    // Written before it is read: zeroing it would cost as much as writing it.
    let mut states = Vec::<f32>::with_capacity(partials.len);
    let to_states = Shared(states.as_mut_ptr());
    let to_out = Shared(out.as_mut_ptr());
    let n_tasks = attention.pieces.len() * n_kv_heads;
    executor.execute(n_tasks, &|tasks| {
        let mut scratch = Scratch::default();
        for task in tasks {
            let piece = &attention.pieces[task / n_kv_heads];
            let kv_head = task % n_kv_heads;
            let (partials, scratch) = (&partials, &mut scratch);
            // SAFETY: each task writes the queries of its rows and heads: to their
            // splits' places in `states`, or to `out` where no other piece has them.
            unsafe {
                dispatch!(isa, work(attention: &Attention<'_>, piece: &Piece, kv_head: usize, partials: &Partials<'_>, scratch: &mut Scratch, to_states: Shared<f32>, to_out: Shared<f32>));
            }
        }
    });
    if partials.len == 0 {
        return;
    }
    executor.execute(attention.seen.len(), &|rows| {
        let mut total = State::default();
        for row in rows.filter(|&row| partials.is_split(row)) {
            let seen = attention.seen[row] as usize;
            for head in 0..n_heads {
                total.empty(attention.shape.value_dim());
                for split in 0..seen.div_ceil(SPLIT) {
                    let place = partials.place(row, head, split);
                    let (total, from) =
                        (&mut total, to_states.get().cast_const().wrapping_add(place));
                    // SAFETY: a state is there: the pieces cover every split that a row
                    // sees, as `check` asserts, and each was written above.
                    unsafe { dispatch!(isa, merge(total: &mut State, from: *const f32)) };
                }
                // SAFETY: each item is a row of its own.
                unsafe {
                    let to = to_out.get().add((row * n_heads + head) * head_dim);
                    total.write_mean(to, head_dim);
                }
            }
        }
    });
}
