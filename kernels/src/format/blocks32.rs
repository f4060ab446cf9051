//! The product of formats with one scale for each 32 weights and nothing else.
use super::{PANEL_ROWS, PanelFormat, prefetch_all};
use crate::lhs::Tile;
use crate::simd::{LANES, Run, Simd};
use std::marker::PhantomData;

/// A format of `scale * (q - ZERO)`.
pub(super) trait Blocks32: PanelFormat {
    /// What `q` is when the weight is 0: [`Scales::zero`] times a power of 2.
    ///
    /// [`Scales::zero`]: super::Scales::zero
    const ZERO: i32;

    /// The scales of all rows.
    ///
    /// # Safety
    /// The processor has what `S` stands for; a packed block is at `block`.
    unsafe fn scale<S: Simd>(block: *const u8) -> S::Float;

    /// `q` of four columns of all rows, `[16 rows][4 columns]`.
    ///
    /// # Safety
    /// The processor has what `S` stands for; a packed block is at `block`.
    unsafe fn quad<S: Simd>(block: *const u8, quad: usize) -> S::Int;

    /// `start` times what `ZERO` is of [`Scales::zero`].
    ///
    /// # Safety
    /// The processor has what `S` stands for.
    ///
    /// [`Scales::zero`]: super::Scales::zero
    unsafe fn start<S: Simd>(start: S::Int) -> S::Int;
}

/// A block with `ROWS` rows of the left side.
struct Block<'a, F, S: Simd, const ROWS: usize> {
    block: *const u8,
    /// Of each row, `[ROWS]`.
    starts: *const i32,
    d: S::Float,
    /// Of each row, `[ROWS]`.
    scales: *const f32,
    sums: &'a mut [S::Float; ROWS],
    format: PhantomData<F>,
}

impl<F: Blocks32, S: Simd, const ROWS: usize> Run<S> for Block<'_, F, S, ROWS> {
    #[inline(always)]
    unsafe fn start(&self, row: usize) -> S::Int {
        // SAFETY: the caller's promises.
        unsafe { F::start::<S>(S::splat(*self.starts.add(row))) }
    }

    #[inline(always)]
    unsafe fn pair(&self, pair: usize) -> [S::Int; 2] {
        // SAFETY: the caller's promises.
        unsafe {
            [
                F::quad::<S>(self.block, 2 * pair),
                F::quad::<S>(self.block, 2 * pair + 1),
            ]
        }
    }

    #[inline(always)]
    unsafe fn done(&mut self, row: usize, dot: S::Int) {
        let sum = &mut self.sums[row];
        // SAFETY: the caller's promises.
        unsafe {
            let scale = S::splat_f(*self.scales.add(row));
            *sum = S::mul_add(S::mul(S::to_float(dot), self.d), scale, *sum);
        }
    }
}

/// [`PanelFormat::multiply`] for such a format.
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn multiply<F: Blocks32, S: Simd, const ROWS: usize>(
    panel: *const u8,
    n_blocks: usize,
    lhs: Tile,
    out: &mut [[f32; LANES]; ROWS],
) {
    // SAFETY: the caller's promises; every offset lies in a tile's layout.
    unsafe {
        let mut sums = [S::zero_f(); ROWS];
        for b in 0..n_blocks {
            let block = panel.add(b * F::BLOCK_BYTES * PANEL_ROWS);
            let q = lhs.q.add(b * 8 * 4 * ROWS);
            prefetch_all::<S, ROWS>(block, F::BLOCK_BYTES * PANEL_ROWS);
            let mut run = Block::<F, S, ROWS> {
                block,
                starts: lhs.starts.add(b * ROWS),
                d: F::scale::<S>(block),
                scales: lhs.scales.add(b * ROWS),
                sums: &mut sums,
                format: PhantomData,
            };
            S::dots::<ROWS, 4>(&mut run, F::LARGEST, q);
        }
        for (sum, out) in sums.into_iter().zip(out.iter_mut()) {
            let to = out.as_mut_ptr();
            S::store_f(to, S::add(sum, S::load_f(to)));
        }
    }
}
