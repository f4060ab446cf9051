//! The product of formats with one scale for each 32 weights and nothing else.
use super::{PANEL_ROWS, PanelFormat, prefetch_all};
use crate::lhs::Tile;
use crate::simd::{LANES, Simd};

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
            let mut dots = [S::zero(); ROWS];
            for (r, dot) in dots.iter_mut().enumerate() {
                *dot = F::start::<S>(S::splat(*lhs.starts.add(b * ROWS + r)));
            }
            for quad in 0..8 {
                let w = F::quad::<S>(block, quad);
                for (r, dot) in dots.iter_mut().enumerate() {
                    *dot = S::dot(*dot, w, q.add((quad * ROWS + r) * 4));
                }
            }
            let d = F::scale::<S>(block);
            for r in 0..ROWS {
                let scale = S::splat_f(*lhs.scales.add(b * ROWS + r));
                sums[r] = S::mul_add(S::mul(S::to_float(dots[r]), d), scale, sums[r]);
            }
        }
        for (sum, out) in sums.into_iter().zip(out.iter_mut()) {
            let to = out.as_mut_ptr();
            S::store_f(to, S::add(sum, S::load_f(to)));
        }
    }
}
