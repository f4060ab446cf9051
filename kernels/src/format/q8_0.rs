//! Q8_0: `d * q`, q of 8 bits with a sign, 32 weights.
//!
//! A packed block of 16 rows: `d: [16] f16`, then `[8 quads][16 rows][4 columns]`
//! of `q + 128`, since the products take weights without a sign.
use super::{PANEL_ROWS, PanelFormat, half_at, prefetch};
use crate::lhs::Tile;
use crate::simd::{LANES, Simd};

pub(crate) struct Q80;

const QUANTS: usize = 2 * PANEL_ROWS;
const QUAD: usize = 4 * PANEL_ROWS;

/// What a packed byte is when the weight is 0.
const ZERO: f32 = 128.0;

impl PanelFormat for Q80 {
    const BLOCK: usize = 32;
    const BLOCK_BYTES: usize = 34;

    fn pack(rows: &[&[u8]; PANEL_ROWS], to: &mut [u8]) {
        for (r, row) in rows.iter().enumerate() {
            to[2 * r..2 * r + 2].copy_from_slice(&row[..2]);
            for (c, &q) in row[2..].iter().enumerate() {
                to[QUANTS + c / 4 * QUAD + 4 * r + c % 4] = q ^ 0x80;
            }
        }
    }

    fn weight(block: &[u8], row: usize, column: usize) -> f32 {
        let q = block[QUANTS + column / 4 * QUAD + 4 * row + column % 4];
        half_at(block, 2 * row) * (f32::from(q) - ZERO)
    }

    #[inline(always)]
    unsafe fn multiply<S: Simd, const ROWS: usize>(
        panel: *const u8,
        n_blocks: usize,
        lhs: Tile,
        out: &mut [[f32; LANES]; ROWS],
    ) {
        // SAFETY: the caller's promises; every offset lies in the layouts above.
        unsafe {
            let zero = S::splat_f(ZERO);
            let mut sums = [S::zero_f(); ROWS];
            for b in 0..n_blocks {
                let block = panel.add(b * Self::BLOCK_BYTES * PANEL_ROWS);
                let q = lhs.q.add(b * 8 * 4 * ROWS);
                (0..Self::BLOCK_BYTES * PANEL_ROWS)
                    .step_by(64)
                    .for_each(|at| prefetch::<S>(block.add(at)));
                let mut dots = [S::zero(); ROWS];
                for quad in 0..8 {
                    let w = S::load(block.add(QUANTS + quad * QUAD));
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
}
