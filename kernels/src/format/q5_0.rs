//! Q5_0: `d * (q - 16)`, q of 5 bits, 32 weights.
//!
//! A packed block of 16 rows: `d: [16] f16`, fifth bits `[8 quads] u64` (bit number
//! `4 r + c` is row r's column c of the quad), low bits `[4 quads][16 rows][4
//! columns]`, a byte's low half of quad i, its high half of quad `i + 4`.
use super::{PANEL_ROWS, PanelFormat, half_at, prefetch};
use crate::lhs::Tile;
use crate::simd::{LANES, Simd};

pub(crate) struct Q50;

const FIFTH: usize = 2 * PANEL_ROWS;
const LOW: usize = FIFTH + 8 * 8;
const QUAD: usize = 4 * PANEL_ROWS;

/// What `q` is when the weight is 0.
const ZERO: f32 = 16.0;

impl PanelFormat for Q50 {
    const BLOCK: usize = 32;
    const BLOCK_BYTES: usize = 22;

    fn pack(rows: &[&[u8]; PANEL_ROWS], to: &mut [u8]) {
        to[FIFTH..LOW].fill(0);
        for (r, row) in rows.iter().enumerate() {
            to[2 * r..2 * r + 2].copy_from_slice(&row[..2]);
            let fifth = u32::from_le_bytes([row[2], row[3], row[4], row[5]]);
            for c in 0..32 {
                let bit = 4 * r + c % 4;
                to[FIFTH + c / 4 * 8 + bit / 8] |= ((fifth >> c & 1) as u8) << (bit % 8);
            }
            // In the file too a byte holds columns i and i + 16.
            for (quad, four) in row[6..].chunks_exact(4).enumerate() {
                to[LOW + quad * QUAD + 4 * r..][..4].copy_from_slice(four);
            }
        }
    }

    fn weight(block: &[u8], row: usize, column: usize) -> f32 {
        let (quad, lane) = (column / 4, 4 * row + column % 4);
        let low = block[LOW + quad % 4 * QUAD + lane] >> (quad / 4 * 4) & 15;
        let fifth = block[FIFTH + quad * 8 + lane / 8] >> (lane % 8) & 1;
        half_at(block, 2 * row) * (f32::from(low | fifth << 4) - ZERO)
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
            let nibble = S::splat(0x0f0f_0f0f);
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
                    let both = S::load(block.add(LOW + quad % 4 * QUAD));
                    let low = match quad / 4 {
                        0 => S::and(both, nibble),
                        _ => S::and(S::shr::<4>(both), nibble),
                    };
                    let w = S::add_where(low, block.add(FIFTH + 8 * quad), 16);
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
