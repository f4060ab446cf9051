//! What was found for a query, over a split and over those before it.
use super::{Attention, MASKED, SPLIT};
use crate::simd::{LANES, Simd, exp};

/// What was found for one query: `[value_dim]` weighted values, not divided by the
/// sum of weights; that sum; and the largest score.
pub(super) const STATE_EXTRA: usize = 2;

/// Where the splits of rows that several pieces have are kept until all are there.
pub(super) struct Partials<'a> {
    /// By row: where its states begin; `None` for a row that one piece covers.
    first: Vec<Option<usize>>,
    /// Positions that each row sees.
    seen: &'a [u32],
    /// Of one state.
    state_len: usize,
    /// Of all states together.
    pub(super) len: usize,
}

impl<'a> Partials<'a> {
    pub(super) fn new(attention: &Attention<'a>) -> Self {
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
            seen: attention.seen,
            state_len,
            len,
        }
    }

    pub(super) fn is_split(&self, row: usize) -> bool {
        self.first[row].is_some()
    }

    /// Where the state of one split of one query is; the row is one that is split.
    pub(super) fn place(&self, row: usize, head: usize, split: usize) -> usize {
        let first = self.first[row].expect("a row that several pieces have");
        let n_splits = (self.seen[row] as usize).div_ceil(SPLIT);
        first + (head * n_splits + split) * self.state_len
    }
}

/// What was found for one query over all splits so far.
#[derive(Clone, Default)]
pub(super) struct State {
    /// `[value_dim]`
    sums: Vec<f32>,
    weight: f32,
    largest: f32,
}

impl State {
    pub(super) fn empty(&mut self, value_dim: usize) {
        self.sums.clear();
        self.sums.resize(value_dim, 0.0);
        self.weight = 0.0;
        self.largest = MASKED;
    }

    /// # Safety
    /// `d` floats can be written at `to`.
    pub(super) unsafe fn write_mean(&self, to: *mut f32, d: usize) {
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
pub(super) unsafe fn merge<S: Simd>(total: &mut State, from: *const f32) {
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
