//! The product of formats with a half for each 32 weights and nothing else.
use super::{PANEL_ROWS, PanelFormat, prefetch};
use crate::lhs::Tile;
use crate::simd::{LANES, Simd};

/// A format of `d * (q - ZERO)`: a packed block begins with `d: [16] f16`.
pub(super) trait Blocks32: PanelFormat {
    /// What `q` is when the weight is 0.
    const ZERO: f32;

    /// `q` of four columns of all rows, `[16 rows][4 columns]`.
    ///
    /// # Safety
    /// The processor has what `S` stands for; a packed block is at `block`.
    unsafe fn quad<S: Simd>(block: *const u8, quad: usize) -> S::Int;
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
        let zero = S::splat_f(F::ZERO);
        let mut sums = [S::zero_f(); ROWS];
        for b in 0..n_blocks {
            let block = panel.add(b * F::BLOCK_BYTES * PANEL_ROWS);
            let q = lhs.q.add(b * 8 * 4 * ROWS);
            (0..F::BLOCK_BYTES * PANEL_ROWS)
                .step_by(64)
                .for_each(|at| prefetch::<S>(block.add(at)));
            let mut dots = [S::zero(); ROWS];
            for quad in 0..8 {
                let w = F::quad::<S>(block, quad);
                for (r, dot) in dots.iter_mut().enumerate() {
                    *dot = S::dot(*dot, w, q.add((quad * ROWS + r) * 4));
                }
            }
            let d = S::load_half(block);
            for r in 0..ROWS {
                let of_32 = S::splat_f(*lhs.sums_of_32.add(b * ROWS + r));
                let dot = S::mul_sub(of_32, zero, S::to_float(dots[r]));
                let scale = S::splat_f(*lhs.scales.add(b * ROWS + r));
                sums[r] = S::mul_add(S::mul(dot, d), scale, sums[r]);
            }
        }
        for (sum, out) in sums.into_iter().zip(out.iter_mut()) {
            let to = out.as_mut_ptr();
            S::store_f(to, S::add(sum, S::load_f(to)));
        }
    }
}
