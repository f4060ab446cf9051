//! Q6_K: `d * scale * (q - 32)`, q of 6 bits, sixteen signed scales for 16
//! weights each.
//!
//! A packed block of 16 rows: `d: [16] f16`, `scales: [16 subs][16 rows] i8`, low
//! bits `[8 pairs][4 quads][16 rows][4 columns]`, a byte's low half of the pair's
//! first sub-block, its high half of the second; upper bits `[16 subs][16 rows][4
//! columns]`, two bits for each of the sub-block's four quads.
use super::{PANEL_ROWS, PanelFormat, add_scaled, half_at, prefetch};
use crate::lhs::Tile;
use crate::simd::{LANES, Simd};

pub(crate) struct Q6K;

const SCALES: usize = 2 * PANEL_ROWS;
const LOW: usize = SCALES + 16 * PANEL_ROWS;
const HIGH: usize = LOW + 128 * PANEL_ROWS;
/// Bytes of four columns of all rows.
const QUAD: usize = 4 * PANEL_ROWS;

/// `q` of column `c` of a row, from the file.
fn quant(row: &[u8], c: usize) -> u8 {
    // Two halves of 128 columns: 64 bytes of low bits and 32 of upper ones each.
    let (half, c) = (c / 128, c % 128);
    let low = row[64 * half + c % 64] >> (c / 64 * 4) & 15;
    let high = row[128 + 32 * half + c % 32] >> (c / 32 * 2) & 3;
    low | high << 4
}

impl PanelFormat for Q6K {
    const BLOCK: usize = 256;
    const BLOCK_BYTES: usize = 210;

    fn pack(rows: &[&[u8]; PANEL_ROWS], to: &mut [u8]) {
        to[LOW..].fill(0);
        for (r, row) in rows.iter().enumerate() {
            to[2 * r..2 * r + 2].copy_from_slice(&row[208..210]);
            for sub in 0..16 {
                to[SCALES + sub * PANEL_ROWS + r] = row[192 + sub];
                for i in 0..16 {
                    let q = quant(row, 16 * sub + i);
                    let (quad, lane) = (i / 4, 4 * r + i % 4);
                    to[LOW + (sub / 2 * 4 + quad) * QUAD + lane] |= (q & 15) << (sub % 2 * 4);
                    to[HIGH + sub * QUAD + lane] |= q >> 4 << (2 * quad);
                }
            }
        }
    }

    fn weight(block: &[u8], row: usize, column: usize) -> f32 {
        let (sub, i) = (column / 16, column % 16);
        let (quad, lane) = (i / 4, 4 * row + i % 4);
        let low = block[LOW + (sub / 2 * 4 + quad) * QUAD + lane] >> (sub % 2 * 4) & 15;
        let high = block[HIGH + sub * QUAD + lane] >> (2 * quad) & 3;
        let scale = block[SCALES + sub * PANEL_ROWS + row] as i8;
        half_at(block, 2 * row) * f32::from(scale) * (f32::from(low | high << 4) - 32.0)
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
            let upper = S::splat(0x3030_3030);
            for b in 0..n_blocks {
                let block = panel.add(b * Self::BLOCK_BYTES * PANEL_ROWS);
                (0..LOW)
                    .step_by(64)
                    .for_each(|at| prefetch::<S>(block.add(at)));
                let mut sums = [S::zero_f(); ROWS];
                for sub in 0..16 {
                    let low = block.add(LOW + sub / 2 * 4 * QUAD);
                    let high = S::load(block.add(HIGH + sub * QUAD));
                    prefetch::<S>(block.add(HIGH + sub * QUAD));
                    prefetch::<S>(block.add(LOW + 2 * sub * QUAD));
                    prefetch::<S>(block.add(LOW + (2 * sub + 1) * QUAD));
                    // The two bits of each quad at their place in a byte.
                    let high = [
                        S::shl::<4>(high),
                        S::shl::<2>(high),
                        high,
                        S::shr::<2>(high),
                    ];
                    let q = lhs.q.add((b * 64 + sub * 4) * 4 * ROWS);
                    let starts = lhs.starts.add((b * 16 + sub) * ROWS);
                    let mut dots = [S::zero(); ROWS];
                    for (r, dot) in dots.iter_mut().enumerate() {
                        *dot = S::splat(*starts.add(r));
                    }
                    for (quad, high) in high.into_iter().enumerate() {
                        let both = S::load(low.add(quad * QUAD));
                        let low = match sub % 2 {
                            0 => S::and(both, nibble),
                            _ => S::and(S::shr::<4>(both), nibble),
                        };
                        let w = S::or(low, S::and(high, upper));
                        for (r, dot) in dots.iter_mut().enumerate() {
                            *dot = S::dot(*dot, w, q.add((quad * ROWS + r) * 4));
                        }
                    }
                    let scale = S::to_float(S::widen_i8(block.add(SCALES + sub * PANEL_ROWS)));
                    for (sum, dot) in sums.iter_mut().zip(dots) {
                        *sum = S::mul_add(S::to_float(dot), scale, *sum);
                    }
                }
                let d = S::load_half(block);
                for sum in &mut sums {
                    *sum = S::mul(*sum, d);
                }
                add_scaled::<S, ROWS>(sums, lhs.scales.add(b * ROWS), out);
            }
        }
    }
}
