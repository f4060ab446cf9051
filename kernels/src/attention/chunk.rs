//! A tile of queries over a few blocks: scores, weights, weighted values.
use super::ahead::Ahead;
use super::scratch::Scratch;
use super::{Attention, BLOCK_SIZE, CHUNK, HeadShape, MASKED};
use crate::simd::{LANES, Simd, exp};
use crate::tile::{TILE_ROWS_MAX, with_tile_rows};

/// Dimensions of a key that are multiplied before memory is asked for the next lines.
const DIMS_A_STEP: usize = 8;

/// How often [`tile_over_chunk`] asks for lines, for a tile of `tile_rows` and a block.
pub(super) fn steps_of_block<S: Simd>(tile_rows: usize, head_dim: usize) -> usize {
    tile_rows / at_once(tile_rows, S::SUMS_MAX) * head_dim.div_ceil(DIMS_A_STEP)
}

/// A tile of queries over up to four blocks; `ahead` takes [`steps_of_block`] steps for each.
///
/// # Safety
/// As [`super::work::work`]; the scratch is laid out for tiles of `Q`.
#[inline(always)]
pub(super) unsafe fn tile_over_chunk<S: Simd, const Q: usize>(
    attention: &Attention<'_>,
    kv_head: usize,
    blocks: &[u32],
    first: usize,
    tile: usize,
    scratch: &mut Scratch,
    ahead: &mut Ahead,
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
            let scores = scores.add(b * BLOCK_SIZE);
            with_tile_rows!(at_once(Q, S::SUMS_MAX), N => {
                for first in (0..Q).step_by(N) {
                    let mut dots = [S::zero_f(); N];
                    for from in (0..d).step_by(DIMS_A_STEP) {
                        ahead.step::<S>();
                        for i in from..d.min(from + DIMS_A_STEP) {
                            let key = S::load_f(keys.add(i * BLOCK_SIZE));
                            for (r, dot) in dots.iter_mut().enumerate() {
                                let query = S::splat_f(*q.add(i * Q + first + r));
                                *dot = S::mul_add(key, query, *dot);
                            }
                        }
                    }
                    for (r, dot) in dots.into_iter().enumerate() {
                        S::store_f(scores.add((first + r) * CHUNK), dot);
                    }
                }
            });
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
            // largest score's 1.
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
        // Past what any row sees lies what others left, perhaps no numbers at all.
        let seen = scratch.seen[tile * Q..][..Q].iter().copied().max();
        let n = n.min(seen.unwrap_or(0).saturating_sub(first));
        let mut i = 0;
        while S::SUMS_MAX >= 4 * QUERIES_OF_FOUR && i + 4 * LANES <= vd {
            add_values::<S, Q, 4>(blocks, n, values, vd, i, scores, sums);
            i += 4 * LANES;
        }
        while i < vd {
            add_values::<S, Q, 1>(blocks, n, values, vd, i, scores, sums);
            i += LANES;
        }
    }
}

/// Adds `V` vectors of dimensions from `at` on of the first `n` positions, for `Q`
/// queries, a few at a time.
///
/// # Safety
/// As [`tile_over_chunk`].
#[inline(always)]
unsafe fn add_values<S: Simd, const Q: usize, const V: usize>(
    blocks: &[u32],
    n: usize,
    values: impl Fn(u32) -> *const f32,
    d: usize,
    at: usize,
    weights: *const f32,
    sums: *mut f32,
) {
    with_tile_rows!(at_once(Q, S::SUMS_MAX / V), N => {
        for first in (0..Q).step_by(N) {
            // SAFETY: the caller's promise; `N` divides `Q`.
            unsafe {
                let mut acc = [[S::zero_f(); V]; N];
                for (r, acc) in acc.iter_mut().enumerate() {
                    for (v, acc) in acc.iter_mut().enumerate() {
                        *acc = S::load_f(sums.add((first + r) * d + at + v * LANES));
                    }
                }
                for (b, &block) in blocks.iter().enumerate() {
                    let values = values(block).add(at);
                    for position in 0..BLOCK_SIZE.min(n.saturating_sub(b * BLOCK_SIZE)) {
                        let mut value = [S::zero_f(); V];
                        for (v, value) in value.iter_mut().enumerate() {
                            *value = S::load_f(values.add(position * d + v * LANES));
                        }
                        for (r, acc) in acc.iter_mut().enumerate() {
                            let w = weights.add((first + r) * CHUNK + b * BLOCK_SIZE + position);
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
    });
}

/// Queries whose four vectors of sums stay in registers where there are as many as
/// AVX-512 has.
const QUERIES_OF_FOUR: usize = 6;

/// How many rows of a tile are worked on at a time where `most` fit: a divisor of the
/// tile's height that is the height of a tile.
const fn at_once(tile_rows: usize, most: usize) -> usize {
    let mut rows = most;
    while rows > 1 && (!tile_rows.is_multiple_of(rows) || matches!(rows, 5 | 7 | 9..=11)) {
        rows -= 1;
    }
    rows
}
