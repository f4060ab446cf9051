//! Attention over a paged cache: softmax on the fly, rows that share blocks
//! together.
//!
//! Work comes as pieces: some rows and a run of blocks that all of them look at.
//! A piece's keys and values are read once for all its rows and all query heads of
//! a group; what it gives, a maximum, a sum and a weighted mean for each query, is
//! merged with the row's other pieces by log-sum-exp. So a trunk under eight
//! branches is read once, not eight times.
//!
//! Source: the running softmax of Milakov and Gimelshein (arXiv 1805.02867) as in
//! FlashAttention (arXiv 2205.14135); the merge by log-sum-exp as in
//! FlashDecoding and Hydragen (arXiv 2402.05099).
use crate::Isa;
use crate::executor::{Executor, Shared};
use crate::isa::dispatch;
use crate::simd::{LANES, Simd, exp};
use crate::tile::{TILE_ROWS_MAX, tiles};

/// Token positions of a block: a vector's lanes.
pub const BLOCK_SIZE: usize = LANES;

/// Blocks worked on at a time: their keys and values (64 KiB at D = 128) stay in
/// the second-level cache while all queries pass over them.
const CHUNK_BLOCKS: usize = 4;
const CHUNK: usize = CHUNK_BLOCKS * BLOCK_SIZE;

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
    /// Position of the first block's first key.
    pub first: usize,
    /// Blocks, in order of position.
    pub blocks: Vec<u32>,
}

/// One layer's queries and cache.
#[derive(Clone, Copy)]
pub struct Attention<'a> {
    pub shape: HeadShape,
    /// Row `t`'s queries are `queries[t * query_stride..][..H * D]`.
    pub queries: &'a [f32],
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

/// What one piece found for one query: `[D]` weighted values, not divided by the
/// sum of weights; that sum; and the largest score.
const STATE_EXTRA: usize = 2;

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
    let n_rows = attention.seen.len();
    check(attention, out.len());
    // Rows of one piece need no merging: they go straight to `out`.
    let mut pieces_of = vec![0u32; n_rows];
    for piece in attention.pieces {
        piece
            .rows
            .iter()
            .for_each(|&row| pieces_of[row as usize] += 1);
    }
    let state_len = head_dim + STATE_EXTRA;
    let mut offsets = Vec::with_capacity(attention.pieces.len());
    let mut len = 0;
    for piece in attention.pieces {
        offsets.push(len);
        if piece.rows.iter().any(|&row| pieces_of[row as usize] > 1) {
            len += piece.rows.len() * n_heads * state_len;
        }
    }
    let mut partial = vec![0f32; len];
    let to_partial = Shared(partial.as_mut_ptr());
    let to_out = Shared(out.as_mut_ptr());
    let n_tasks = attention.pieces.len() * n_kv_heads;
    executor.execute(n_tasks, &|tasks| {
        let mut scratch = Scratch::default();
        for task in tasks {
            let (index, kv_head) = (task / n_kv_heads, task % n_kv_heads);
            let piece = &attention.pieces[index];
            let (pieces_of, at) = (pieces_of.as_slice(), offsets[index]);
            let scratch = &mut scratch;
            // SAFETY: each task writes the queries of its rows and heads: to its
            // piece's part of `partial`, or to `out` where no other piece has them.
            unsafe {
                dispatch!(isa, work(attention: &Attention<'_>, piece: &Piece, kv_head: usize, scratch: &mut Scratch));
                scratch.write(attention, piece, kv_head, pieces_of, to_partial.get().add(at), to_out);
            }
        }
    });
    if partial.is_empty() {
        return;
    }
    let mut parts_of: Vec<Vec<usize>> = vec![Vec::new(); n_rows];
    for (piece, offset) in attention.pieces.iter().zip(&offsets) {
        for (i, &row) in piece.rows.iter().enumerate() {
            if pieces_of[row as usize] > 1 {
                parts_of[row as usize].push(offset + i * n_heads * state_len);
            }
        }
    }
    executor.execute(n_rows, &|rows| {
        for row in rows {
            // SAFETY: each item is a row of its own.
            let out = unsafe {
                let at = to_out.get().add(row * n_heads * head_dim);
                std::slice::from_raw_parts_mut(at, n_heads * head_dim)
            };
            if parts_of[row].is_empty() {
                continue;
            }
            for (head, out) in out.chunks_exact_mut(head_dim).enumerate() {
                let parts = parts_of[row].iter();
                let states = parts.map(|at| &partial[at + head * state_len..][..state_len]);
                merge(states, out);
            }
        }
    });
}

/// Joins what several pieces found for one query.
fn merge<'a>(states: impl Iterator<Item = &'a [f32]> + Clone, out: &mut [f32]) {
    let d = out.len();
    let largest = states.clone().map(|s| s[d + 1]).fold(MASKED, f32::max);
    let sum: f32 = states
        .clone()
        .map(|s| s[d] * (s[d + 1] - largest).exp())
        .sum();
    out.fill(0.0);
    for state in states {
        let weight = (state[d + 1] - largest).exp() / sum;
        for (out, x) in out.iter_mut().zip(state) {
            *out += weight * x;
        }
    }
}

fn check(attention: &Attention<'_>, out_len: usize) {
    let HeadShape {
        n_heads,
        n_kv_heads,
        head_dim,
    } = attention.shape;
    assert!(
        n_kv_heads > 0 && n_heads % n_kv_heads == 0,
        "{n_heads} heads over {n_kv_heads}"
    );
    let n_rows = attention.seen.len();
    assert_eq!(
        out_len,
        n_rows * n_heads * head_dim,
        "the output of {n_rows} rows"
    );
    assert!(
        n_rows == 0
            || attention.queries.len()
                >= (n_rows - 1) * attention.query_stride + n_heads * head_dim,
        "the queries of {n_rows} rows"
    );
    let block = n_kv_heads * BLOCK_SIZE;
    let n_keys = attention.keys.len() / (block * head_dim);
    let n_blocks = n_keys.min(attention.values.len() / (block * attention.shape.value_dim()));
    for piece in attention.pieces {
        assert!(
            piece.rows.iter().all(|&row| (row as usize) < n_rows),
            "a piece's rows"
        );
        assert!(
            piece.blocks.iter().all(|&b| (b as usize) < n_blocks),
            "a piece's blocks"
        );
    }
}

/// A worker's memory for one task.
#[derive(Default)]
struct Scratch {
    /// `[tile][D][query]`, scaled.
    q: Vec<f32>,
    /// `[query][value_dim]`
    sums: Vec<f32>,
    /// `[query]`
    weight: Vec<f32>,
    /// `[query]`
    largest: Vec<f32>,
    /// `[query]`
    seen: Vec<usize>,
    /// `[query][CHUNK]`
    scores: Vec<f32>,
}

impl Scratch {
    /// Hands out what [`work`] found.
    ///
    /// # Safety
    /// Nobody else writes the rows' places in `partial` and `out`.
    unsafe fn write(
        &self,
        attention: &Attention<'_>,
        piece: &Piece,
        kv_head: usize,
        pieces_of: &[u32],
        partial: *mut f32,
        out: Shared<f32>,
    ) {
        let HeadShape {
            n_heads,
            n_kv_heads,
            head_dim: d,
        } = attention.shape;
        let group = n_heads / n_kv_heads;
        for (i, &row) in piece.rows.iter().enumerate() {
            let row = row as usize;
            for g in 0..group {
                let query = i * group + g;
                let head = kv_head * group + g;
                let sums = &self.sums[query * attention.shape.value_dim()..][..d];
                let (weight, largest) = (self.weight[query], self.largest[query]);
                // SAFETY: the caller's promise; places of this row and head.
                unsafe {
                    if pieces_of[row] > 1 {
                        let state = partial.add((i * n_heads + head) * (d + STATE_EXTRA));
                        std::ptr::copy_nonoverlapping(sums.as_ptr(), state, d);
                        state.add(d).write(weight);
                        state.add(d + 1).write(largest);
                    } else {
                        let out = out.get().add((row * n_heads + head) * d);
                        for (i, x) in sums.iter().enumerate() {
                            out.add(i).write(x / weight);
                        }
                    }
                }
            }
        }
    }
}

/// One piece and one key/value head: fills the scratch.
///
/// # Safety
/// The processor has what `S` stands for; [`check`] has passed.
#[inline(always)]
unsafe fn work<S: Simd>(
    attention: &Attention<'_>,
    piece: &Piece,
    kv_head: usize,
    scratch: &mut Scratch,
) {
    let HeadShape {
        n_heads,
        n_kv_heads,
        head_dim: d,
    } = attention.shape;
    let group = n_heads / n_kv_heads;
    let n_queries = piece.rows.len() * group;
    let (n_tiles, height) = tiles(n_queries);
    let padded = n_tiles * height;
    let scale = 1.0 / (d as f32).sqrt();
    scratch.q.clear();
    scratch.q.resize(padded * d, 0.0);
    scratch.sums.clear();
    scratch
        .sums
        .resize(padded * attention.shape.value_dim(), 0.0);
    scratch.weight.clear();
    scratch.weight.resize(padded, 0.0);
    scratch.largest.clear();
    scratch.largest.resize(padded, MASKED);
    scratch.scores.resize(height * CHUNK, 0.0);
    scratch.seen.clear();
    for (i, &row) in piece.rows.iter().enumerate() {
        let from = row as usize * attention.query_stride + kv_head * group * d;
        for (g, q) in attention.queries[from..][..group * d]
            .chunks_exact(d)
            .enumerate()
        {
            let query = i * group + g;
            let to = &mut scratch.q[query / height * height * d + query % height..];
            for (i, x) in q.iter().enumerate() {
                to[i * height] = x * scale;
            }
            scratch.seen.push(attention.seen[row as usize] as usize);
        }
    }
    scratch.seen.resize(padded, 0);
    let farthest = scratch.seen.iter().copied().max().unwrap_or(0);
    for (c, blocks) in piece.blocks.chunks(CHUNK_BLOCKS).enumerate() {
        let first = piece.first + c * CHUNK;
        if first >= farthest {
            break;
        }
        let blocks = &blocks[..blocks.len().min((farthest - first).div_ceil(BLOCK_SIZE))];
        for tile in 0..n_tiles {
            macro_rules! of_height {
                ($($height:literal)*) => {
                    match height {
                        // SAFETY: the caller's promises, and a scratch of this height.
                        $($height => unsafe {
                            tile_over_chunk::<S, $height>(attention, kv_head, blocks, first, tile, scratch);
                        },)*
                        _ => unreachable!("tiles are of these heights"),
                    }
                };
            }
            of_height!(1 2 3 4 6 8 12);
        }
    }
}

/// A tile of queries over up to four blocks.
///
/// # Safety
/// As [`work`]; the scratch is laid out for tiles of `Q`.
#[inline(always)]
unsafe fn tile_over_chunk<S: Simd, const Q: usize>(
    attention: &Attention<'_>,
    kv_head: usize,
    blocks: &[u32],
    first: usize,
    tile: usize,
    scratch: &mut Scratch,
) {
    const { assert!(Q <= TILE_ROWS_MAX) };
    let HeadShape {
        n_kv_heads,
        head_dim: d,
        ..
    } = attention.shape;
    let vd = attention.shape.value_dim();
    let block_at = |block: u32| (block as usize * n_kv_heads + kv_head) * BLOCK_SIZE;
    let scores = scratch.scores.as_mut_ptr();
    // SAFETY: blocks lie within the caches, tiles within the scratch.
    unsafe {
        // 1. Scores: a vector holds 16 keys.
        let q = scratch.q.as_ptr().add(tile * Q * d);
        for (b, &block) in blocks.iter().enumerate() {
            let keys = attention.keys.as_ptr().add(block_at(block) * d);
            let mut dots = [S::zero_f(); Q];
            for i in 0..d {
                let key = S::load_f(keys.add(i * BLOCK_SIZE));
                for (r, dot) in dots.iter_mut().enumerate() {
                    *dot = S::mul_add(key, S::splat_f(*q.add(i * Q + r)), *dot);
                }
            }
            for (r, dot) in dots.into_iter().enumerate() {
                S::store_f(scores.add(r * CHUNK + b * BLOCK_SIZE), dot);
            }
        }
        // 2. Weights, with the running maximum.
        let n = blocks.len() * BLOCK_SIZE;
        for r in 0..Q {
            let query = tile * Q + r;
            let scores = scores.add(r * CHUNK);
            let visible = scratch.seen[query].saturating_sub(first).min(n);
            if visible == 0 {
                (0..n).for_each(|i| scores.add(i).write(0.0));
                continue;
            }
            (visible..n).for_each(|i| scores.add(i).write(MASKED));
            let mut largest = S::splat_f(scratch.largest[query]);
            for i in (0..n).step_by(LANES) {
                largest = S::max(largest, S::load_f(scores.add(i)));
            }
            let largest = S::largest(largest);
            let shift = S::splat_f(largest);
            let mut weight = S::zero_f();
            for i in (0..n).step_by(LANES) {
                let w = exp::<S>(S::sub(S::load_f(scores.add(i)), shift));
                S::store_f(scores.add(i), w);
                weight = S::add(weight, w);
            }
            // What `exp` gives a masked score, 1e-38, is nothing beside the
            // largest score's 1; a stale value may be anything.
            (visible..n).for_each(|i| scores.add(i).write(0.0));
            let before = scratch.largest[query];
            let mut total = S::sum(weight);
            if before != largest {
                let shrink = (before - largest).exp();
                total += scratch.weight[query] * shrink;
                let shrink = S::splat_f(shrink);
                let sums = scratch.sums.as_mut_ptr().add(query * vd);
                for i in (0..vd).step_by(LANES) {
                    S::store_f(sums.add(i), S::mul(S::load_f(sums.add(i)), shrink));
                }
                scratch.largest[query] = largest;
            } else {
                total += scratch.weight[query];
            }
            scratch.weight[query] = total;
        }
        // 3. Weighted values: a vector holds 16 dimensions.
        let sums = scratch.sums.as_mut_ptr().add(tile * Q * vd);
        let values = |block: u32| attention.values.as_ptr().add(block_at(block) * vd);
        let mut i = 0;
        while i + 4 * LANES <= vd {
            add_values::<S, Q, 4>(blocks, values, vd, i, scores, sums);
            i += 4 * LANES;
        }
        while i < vd {
            add_values::<S, Q, 1>(blocks, values, vd, i, scores, sums);
            i += LANES;
        }
    }
}

/// Adds `V` vectors of dimensions from `at` on, for `Q` queries, six at a time.
///
/// # Safety
/// As [`tile_over_chunk`].
#[inline(always)]
unsafe fn add_values<S: Simd, const Q: usize, const V: usize>(
    blocks: &[u32],
    values: impl Fn(u32) -> *const f32,
    d: usize,
    at: usize,
    weights: *const f32,
    sums: *mut f32,
) {
    macro_rules! in_groups {
        ($n:literal) => {
            for first in (0..Q).step_by($n) {
                // SAFETY: the caller's promise; `$n` divides `Q`.
                unsafe {
                    let mut acc = [[S::zero_f(); V]; $n];
                    for (r, acc) in acc.iter_mut().enumerate() {
                        for (v, acc) in acc.iter_mut().enumerate() {
                            *acc = S::load_f(sums.add((first + r) * d + at + v * LANES));
                        }
                    }
                    for (b, &block) in blocks.iter().enumerate() {
                        let values = values(block).add(at);
                        for position in 0..BLOCK_SIZE {
                            let mut value = [S::zero_f(); V];
                            for (v, value) in value.iter_mut().enumerate() {
                                *value = S::load_f(values.add(position * d + v * LANES));
                            }
                            for (r, acc) in acc.iter_mut().enumerate() {
                                let w =
                                    weights.add((first + r) * CHUNK + b * BLOCK_SIZE + position);
                                let w = S::splat_f(*w);
                                for (acc, value) in acc.iter_mut().zip(value) {
                                    *acc = S::mul_add(w, value, *acc);
                                }
                            }
                        }
                    }
                    for (r, acc) in acc.into_iter().enumerate() {
                        for (v, acc) in acc.into_iter().enumerate() {
                            S::store_f(sums.add((first + r) * d + at + v * LANES), acc);
                        }
                    }
                }
            }
        };
    }
    match Q {
        12 | 6 => in_groups!(6),
        8 | 4 => in_groups!(4),
        3 => in_groups!(3),
        2 => in_groups!(2),
        _ => in_groups!(1),
    }
}
