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

/// What was found for one query: `[value_dim]` weighted values, not divided by the
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
    check(attention, out.len());
    let partials = Partials::new(attention);
    let mut states = vec![0f32; partials.len];
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
                dispatch!(isa, work(attention: &Attention<'_>, piece: &Piece, kv_head: usize, partials: &Partials, scratch: &mut Scratch, to_states: Shared<f32>, to_out: Shared<f32>));
            }
        }
    });
    if states.is_empty() {
        return;
    }
    executor.execute(attention.seen.len(), &|rows| {
        let mut total = State::default();
        for row in rows.filter(|&row| partials.is_split(row)) {
            let seen = attention.seen[row] as usize;
            for head in 0..n_heads {
                total.empty(attention.shape.value_dim());
                for split in 0..seen.div_ceil(SPLIT) {
                    let from = &states[partials.place(row, head, split)..];
                    let (total, from) = (&mut total, from.as_ptr());
                    // SAFETY: a state is there.
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

/// Where the splits of rows that several pieces have are kept until all are there.
struct Partials {
    /// By row: where its states begin; `None` for a row that one piece covers.
    first: Vec<Option<usize>>,
    seen: Vec<u32>,
    state_len: usize,
    len: usize,
}

impl Partials {
    fn new(attention: &Attention<'_>) -> Self {
        let mut pieces_of = vec![0u32; attention.seen.len()];
        for piece in attention.pieces {
            let rows = piece.rows.iter();
            rows.for_each(|&row| pieces_of[row as usize] += 1);
        }
        let state_len = attention.shape.value_dim() + STATE_EXTRA;
        let mut len = 0;
        let rows = pieces_of.iter().zip(attention.seen);
        let first = rows
            .map(|(&pieces, &seen)| {
                let first = (pieces > 1).then_some(len);
                if first.is_some() {
                    len += attention.shape.n_heads * (seen as usize).div_ceil(SPLIT) * state_len;
                }
                first
            })
            .collect();
        Self {
            first,
            seen: attention.seen.to_vec(),
            state_len,
            len,
        }
    }

    fn is_split(&self, row: usize) -> bool {
        self.first[row].is_some()
    }

    /// Where the state of one split of one query is; the row is one that is split.
    fn place(&self, row: usize, head: usize, split: usize) -> usize {
        let first = self.first[row].expect("a row that several pieces have");
        let n_splits = (self.seen[row] as usize).div_ceil(SPLIT);
        first + (head * n_splits + split) * self.state_len
    }
}

/// What was found for one query over all splits so far.
#[derive(Clone, Default)]
struct State {
    /// `[value_dim]`
    sums: Vec<f32>,
    weight: f32,
    largest: f32,
}

impl State {
    fn empty(&mut self, value_dim: usize) {
        self.sums.clear();
        self.sums.resize(value_dim, 0.0);
        self.weight = 0.0;
        self.largest = MASKED;
    }

    /// # Safety
    /// `d` floats can be written at `to`.
    unsafe fn write_mean(&self, to: *mut f32, d: usize) {
        for (i, x) in self.sums[..d].iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { to.add(i).write(x / self.weight) };
        }
    }
}

/// Joins one split's state to those before it.
///
/// # Safety
/// The processor has what `S` stands for; a state is at `from`.
#[inline(always)]
unsafe fn merge<S: Simd>(total: &mut State, from: *const f32) {
    let value_dim = total.sums.len();
    // SAFETY: the caller's promise.
    unsafe {
        let (weight, largest) = (*from.add(value_dim), *from.add(value_dim + 1));
        let before = total.largest;
        total.largest = before.max(largest);
        let shrink = |x: f32| exp::<S>(S::splat_f(x - total.largest));
        let (old, new) = (shrink(before), shrink(largest));
        for i in (0..value_dim).step_by(LANES) {
            let sums = total.sums.as_mut_ptr().add(i);
            let kept = S::mul(S::load_f(sums), old);
            S::store_f(sums, S::mul_add(S::load_f(from.add(i)), new, kept));
        }
        let first = |x: S::Float| {
            let mut lanes = [0f32; LANES];
            S::store_f(lanes.as_mut_ptr(), x);
            lanes[0]
        };
        total.weight = total.weight * first(old) + weight * first(new);
    }
}

/// Asserts that shapes fit, and that the pieces cover each split that a row sees
/// once: what the kernels rely on.
fn check(attention: &Attention<'_>, out_len: usize) {
    let HeadShape {
        n_heads,
        n_kv_heads,
        head_dim,
    } = attention.shape;
    assert!(
        head_dim > 0 && n_kv_heads > 0 && n_heads > 0 && n_heads.is_multiple_of(n_kv_heads),
        "{n_heads} heads of {head_dim} over {n_kv_heads}"
    );
    let n_rows = attention.seen.len();
    let width = n_heads * head_dim;
    let len = n_rows.checked_mul(width);
    assert_eq!(Some(out_len), len, "the output of {n_rows} rows");
    let queries = n_rows.saturating_sub(1).checked_mul(attention.query_stride);
    let queries = queries.and_then(|len| len.checked_add(width));
    assert!(
        n_rows == 0 || queries.is_some_and(|len| attention.queries.len() >= len),
        "the queries of {n_rows} rows"
    );
    let block = n_kv_heads * BLOCK_SIZE;
    let n_keys = attention.keys.len() / (block * head_dim);
    let n_blocks = n_keys.min(attention.values.len() / (block * attention.shape.value_dim()));
    // Splits of each row that a piece covers.
    let mut covered: Vec<Vec<bool>> = attention
        .seen
        .iter()
        .map(|&seen| vec![false; (seen as usize).div_ceil(SPLIT)])
        .collect();
    for piece in attention.pieces {
        assert!(!piece.rows.is_empty(), "a piece without rows");
        assert!(
            piece.blocks.iter().all(|&b| (b as usize) < n_blocks),
            "a piece's blocks"
        );
        assert!(
            piece.first.is_multiple_of(SPLIT),
            "a piece from {} on",
            piece.first
        );
        let end = piece.first + piece.blocks.len() * BLOCK_SIZE;
        for &row in &piece.rows {
            let row = row as usize;
            assert!(row < n_rows, "row {row} of {n_rows}");
            let seen = attention.seen[row] as usize;
            let splits = piece.first / SPLIT..end.min(seen).div_ceil(SPLIT);
            for (split, covered) in covered[row].iter_mut().enumerate() {
                if splits.contains(&split) {
                    let whole = end >= seen.min((split + 1) * SPLIT);
                    assert!(whole, "row {row}: a split that a piece has in part");
                    let before = std::mem::replace(covered, true);
                    assert!(!before, "row {row}: a split that two pieces have");
                }
            }
        }
    }
    let all = covered
        .iter()
        .all(|row| !row.is_empty() && row.iter().all(|&split| split));
    assert!(all, "a row that pieces do not cover");
}

/// A worker's memory for one task.
#[derive(Default)]
struct Scratch {
    /// `[tile][D][query]`, scaled.
    q: Vec<f32>,
    /// Of the split in hand: `[query][value_dim]`
    sums: Vec<f32>,
    /// `[query]`
    weight: Vec<f32>,
    /// `[query]`
    largest: Vec<f32>,
    /// `[query]`
    seen: Vec<usize>,
    /// `[query][CHUNK]`
    scores: Vec<f32>,
    /// Of the splits before: `[query]`
    totals: Vec<State>,
    /// One state, to be merged.
    state: Vec<f32>,
}

impl Scratch {
    /// Takes the queries of a piece's rows; tiles of one height.
    fn start(&mut self, attention: &Attention<'_>, piece: &Piece, kv_head: usize) -> usize {
        let HeadShape {
            n_heads,
            n_kv_heads,
            head_dim: d,
        } = attention.shape;
        let group = n_heads / n_kv_heads;
        let (n_tiles, height) = tiles(piece.rows.len() * group);
        let padded = n_tiles * height;
        let scale = 1.0 / (d as f32).sqrt();
        self.q.clear();
        self.q.resize(padded * d, 0.0);
        self.scores.resize(height * CHUNK, 0.0);
        self.seen.clear();
        for (i, &row) in piece.rows.iter().enumerate() {
            let from = row as usize * attention.query_stride + kv_head * group * d;
            let queries = attention.queries[from..][..group * d].chunks_exact(d);
            for (g, q) in queries.enumerate() {
                let query = i * group + g;
                let to = &mut self.q[query / height * height * d + query % height..];
                for (i, x) in q.iter().enumerate() {
                    to[i * height] = x * scale;
                }
                self.seen.push(attention.seen[row as usize] as usize);
            }
        }
        self.seen.resize(padded, 0);
        self.totals.resize(padded, State::default());
        for total in &mut self.totals {
            total.empty(attention.shape.value_dim());
        }
        height
    }

    /// Empties what is kept of the split in hand.
    fn start_split(&mut self, value_dim: usize) {
        let padded = self.seen.len();
        self.sums.clear();
        self.sums.resize(padded * value_dim, 0.0);
        self.weight.clear();
        self.weight.resize(padded, 0.0);
        self.largest.clear();
        self.largest.resize(padded, MASKED);
    }
}

/// One piece and one key/value head: writes the means of rows that no other piece
/// has, and the splits of the others.
///
/// # Safety
/// The processor has what `S` stands for; [`check`] has passed; nobody else writes
/// the places of the piece's rows and splits.
#[inline(always)]
unsafe fn work<S: Simd>(
    attention: &Attention<'_>,
    piece: &Piece,
    kv_head: usize,
    partials: &Partials,
    scratch: &mut Scratch,
    states: Shared<f32>,
    out: Shared<f32>,
) {
    let HeadShape {
        n_heads,
        n_kv_heads,
        head_dim: d,
    } = attention.shape;
    let (group, value_dim) = (n_heads / n_kv_heads, attention.shape.value_dim());
    let height = scratch.start(attention, piece, kv_head);
    let farthest = scratch.seen.iter().copied().max().unwrap_or(0);
    for (i, blocks) in piece.blocks.chunks(SPLIT_BLOCKS).enumerate() {
        let first = piece.first + i * SPLIT;
        if first >= farthest {
            break;
        }
        scratch.start_split(value_dim);
        for (c, blocks) in blocks.chunks(CHUNK_BLOCKS).enumerate() {
            let first = first + c * CHUNK;
            let n_blocks = farthest.saturating_sub(first).div_ceil(BLOCK_SIZE);
            let blocks = &blocks[..blocks.len().min(n_blocks)];
            for tile in 0..scratch.seen.len() / height {
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
        for query in 0..piece.rows.len() * group {
            let row = piece.rows[query / group] as usize;
            if scratch.seen[query] <= first {
                continue;
            }
            let state = match partials.is_split(row) {
                true => {
                    let head = kv_head * group + query % group;
                    // SAFETY: a place of this row, head and split.
                    unsafe { states.get().add(partials.place(row, head, first / SPLIT)) }
                }
                false => {
                    scratch.state.resize(value_dim + STATE_EXTRA, 0.0);
                    scratch.state.as_mut_ptr()
                }
            };
            // SAFETY: a state's length is there.
            unsafe {
                let sums = scratch.sums.as_ptr().add(query * value_dim);
                std::ptr::copy_nonoverlapping(sums, state, value_dim);
                state.add(value_dim).write(scratch.weight[query]);
                state.add(value_dim + 1).write(scratch.largest[query]);
                if !partials.is_split(row) {
                    merge::<S>(&mut scratch.totals[query], state);
                }
            }
        }
    }
    for query in 0..piece.rows.len() * group {
        let row = piece.rows[query / group] as usize;
        if !partials.is_split(row) {
            let head = kv_head * group + query % group;
            // SAFETY: places of this row and head, which nobody else writes.
            unsafe {
                let to = out.get().add((row * n_heads + head) * d);
                scratch.totals[query].write_mean(to, d);
            }
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
        while i + 4 * LANES <= vd {
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
/// queries, six at a time.
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
                        for position in 0..BLOCK_SIZE.min(n.saturating_sub(b * BLOCK_SIZE)) {
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
