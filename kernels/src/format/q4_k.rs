//! Q4_K: `d * scale * q - dmin * minimum`, q of 4 bits, eight scales and minima
//! of 6 bits for 32 weights each.
//!
//! A packed block of 16 rows: `d: [16] f16`, `dmin: [16] f16`, four pairs of
//! sub-blocks of 48 bytes of scales, then four of 512 bytes of quants. Of a pair's
//! quants a byte's low half is of the first sub-block, its high half of the
//! second: `[8 quads][16 rows][4 columns]`. Of its scales, `[16] (s0 | s1 << 4)`,
//! `[16] (m0 | m1 << 4)` hold the low four bits, `[16] (s0 | s1 << 2 | m0 << 4 |
//! m1 << 6)` the upper two.
use super::{PANEL_ROWS, PanelFormat, add_scaled, half_at, prefetch};
use crate::lhs::Tile;
use crate::simd::{LANES, Simd};

pub(crate) struct Q4K;

/// Where the parts of a packed block begin.
const DMIN: usize = 2 * PANEL_ROWS;
const SCALES: usize = 4 * PANEL_ROWS;
const PAIR_SCALES: usize = 3 * PANEL_ROWS;
const QUANTS: usize = SCALES + 4 * PAIR_SCALES;
const PAIR_QUANTS: usize = 32 * PANEL_ROWS;

/// Scale and minimum of sub-block `sub`, from the file's 12 packed bytes.
fn scale_and_minimum(packed: &[u8], sub: usize) -> (u8, u8) {
    if sub < 4 {
        (packed[sub] & 63, packed[sub + 4] & 63)
    } else {
        (
            packed[sub + 4] & 15 | packed[sub - 4] >> 6 << 4,
            packed[sub + 4] >> 4 | packed[sub] >> 6 << 4,
        )
    }
}

impl PanelFormat for Q4K {
    const BLOCK: usize = 256;
    const BLOCK_BYTES: usize = 144;

    fn pack(rows: &[&[u8]; PANEL_ROWS], to: &mut [u8]) {
        for (r, row) in rows.iter().enumerate() {
            to[2 * r..2 * r + 2].copy_from_slice(&row[..2]);
            to[DMIN + 2 * r..DMIN + 2 * r + 2].copy_from_slice(&row[2..4]);
            let (scales, quants) = (&row[4..16], &row[16..]);
            for pair in 0..4 {
                let (s0, m0) = scale_and_minimum(scales, 2 * pair);
                let (s1, m1) = scale_and_minimum(scales, 2 * pair + 1);
                let at = SCALES + pair * PAIR_SCALES + r;
                to[at] = s0 & 15 | (s1 & 15) << 4;
                to[at + PANEL_ROWS] = m0 & 15 | (m1 & 15) << 4;
                to[at + 2 * PANEL_ROWS] = s0 >> 4 | s1 >> 4 << 2 | m0 >> 4 << 4 | m1 >> 4 << 6;
                // In the file too a byte holds a weight of each of the pair's
                // sub-blocks.
                let at = QUANTS + pair * PAIR_QUANTS + 4 * r;
                for (quad, four) in quants[32 * pair..32 * pair + 32]
                    .chunks_exact(4)
                    .enumerate()
                {
                    to[at + quad * 4 * PANEL_ROWS..][..4].copy_from_slice(four);
                }
            }
        }
    }

    fn weight(block: &[u8], row: usize, column: usize) -> f32 {
        let (pair, second, c) = (column / 64, column / 32 % 2, column % 32);
        let scales = &block[SCALES + pair * PAIR_SCALES + row..];
        let low = |at: usize| scales[at] >> (4 * second) & 15;
        let high = |shift: usize| scales[2 * PANEL_ROWS] >> (shift + 2 * second) & 3;
        let scale = low(0) | high(0) << 4;
        let minimum = low(PANEL_ROWS) | high(4) << 4;
        let quants = QUANTS + pair * PAIR_QUANTS + c / 4 * 4 * PANEL_ROWS + 4 * row + c % 4;
        let q = block[quants] >> (4 * second) & 15;
        half_at(block, 2 * row) * f32::from(scale) * f32::from(q)
            - half_at(block, DMIN + 2 * row) * f32::from(minimum)
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
            // The second sub-block's weights stay where they are in a byte: 16 times
            // too large, which its scale makes good.
            let nibbles = [S::splat(0x0f0f_0f0f), S::splat(0xf0f0_f0f0_u32 as i32)];
            for b in 0..n_blocks {
                let block = panel.add(b * Self::BLOCK_BYTES * PANEL_ROWS);
                (0..QUANTS)
                    .step_by(64)
                    .for_each(|at| prefetch::<S>(block.add(at)));
                let d = S::load_half(block);
                let ds = [d, S::mul(d, S::splat_f(1.0 / 16.0))];
                let dmin = S::load_half(block.add(DMIN));
                let mut sums = [S::zero_f(); ROWS];
                for pair in 0..4 {
                    let (scales, minima) = pair_scales::<S>(block.add(SCALES + pair * PAIR_SCALES));
                    let quants = block.add(QUANTS + pair * PAIR_QUANTS);
                    for second in 0..2 {
                        let sub = 2 * pair + second;
                        let q = lhs.q.add((b * 64 + sub * 8) * 4 * ROWS);
                        let mut dots = [S::zero(); ROWS];
                        for quad in 0..8 {
                            let both = S::load(quants.add(64 * quad));
                            if second == 0 {
                                prefetch::<S>(quants.add(64 * quad));
                            }
                            let w = S::and(both, nibbles[second]);
                            for (r, dot) in dots.iter_mut().enumerate() {
                                *dot = S::dot(*dot, w, q.add((quad * ROWS + r) * 4));
                            }
                        }
                        let scale = S::mul(ds[second], scales[second]);
                        let minimum = S::mul(dmin, minima[second]);
                        let of_32 = lhs.sums_of_32.add((b * 8 + sub) * ROWS);
                        for r in 0..ROWS {
                            let sum = S::mul_add(S::to_float(dots[r]), scale, sums[r]);
                            sums[r] = S::mul_sub(S::splat_f(*of_32.add(r)), minimum, sum);
                        }
                    }
                }
                add_scaled::<S, ROWS>(sums, lhs.scales.add(b * ROWS), out);
            }
        }
    }
}

/// Scales and minima of a pair's two sub-blocks, one row a lane.
///
/// # Safety
/// As [`PanelFormat::multiply`]; 48 bytes are at `from`.
#[inline(always)]
unsafe fn pair_scales<S: Simd>(from: *const u8) -> ([S::Float; 2], [S::Float; 2]) {
    // SAFETY: the caller's promises.
    unsafe {
        let s = S::widen_u8(from);
        let m = S::widen_u8(from.add(PANEL_ROWS));
        let high = S::widen_u8(from.add(2 * PANEL_ROWS));
        let (low, top) = (S::splat(15), S::splat(0x30));
        let join = |low_bits, high_bits| S::to_float(S::or(low_bits, S::and(high_bits, top)));
        (
            [
                join(S::and(s, low), S::shl::<4>(high)),
                join(S::shr::<4>(s), S::shl::<2>(high)),
            ],
            [
                join(S::and(m, low), high),
                join(S::shr::<4>(m), S::shr::<2>(high)),
            ],
        )
    }
}
