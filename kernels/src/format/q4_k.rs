//! Q4_K: `d * scale * q - dmin * minimum`, q of 4 bits, eight scales and minima
//! of 6 bits for 32 weights each.
//!
//! A packed block of 16 rows: `d: [16] f16`, `dmin: [16] f16`, then 192 bytes of
//! scales and minima and the quants: `[8 subs][4][16 rows][4 columns]`, a byte's low
//! half of quad `2 i` of the sub-block, its high half of the next one, so that no
//! byte is wanted twice. Of the scales, `[16 rows][4 pairs] (s0 | s1 << 4)` and
//! `[16][4] (m0 | m1 << 4)` hold the low four bits, `[16][4] (s0 | s1 << 2 | m0 << 4
//! | m1 << 6)` the upper two.
use super::{PANEL_ROWS, PanelFormat, add_scaled, half_at, prefetch_all};
use crate::lhs::{SPLIT_BITS, SPLIT_SUMS, Tile};
use crate::simd::{LANES, Simd};

pub(crate) struct Q4K;

/// Where the parts of a packed block begin.
const DMIN: usize = 2 * PANEL_ROWS;
const SCALES: usize = 4 * PANEL_ROWS;
const MINIMA: usize = SCALES + 4 * PANEL_ROWS;
const HIGH: usize = MINIMA + 4 * PANEL_ROWS;
const QUANTS: usize = HIGH + 4 * PANEL_ROWS;
/// Bytes of a sub-block's quants, and of two quads of them.
const SUB_QUANTS: usize = 16 * PANEL_ROWS;
const QUADS: usize = 4 * PANEL_ROWS;

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
                let at = 4 * r + pair;
                to[SCALES + at] = s0 & 15 | (s1 & 15) << 4;
                to[MINIMA + at] = m0 & 15 | (m1 & 15) << 4;
                to[HIGH + at] = s0 >> 4 | s1 >> 4 << 2 | m0 >> 4 << 4 | m1 >> 4 << 6;
                // In the file a byte holds a weight of each of the pair's sub-blocks.
                let of_pair = &quants[32 * pair..32 * pair + 32];
                for second in 0..2 {
                    let nibble = |c: usize| of_pair[c] >> (4 * second) & 15;
                    let at = QUANTS + (2 * pair + second) * SUB_QUANTS + 4 * r;
                    for quads in 0..4 {
                        for c in 0..4 {
                            let column = 8 * quads + c;
                            to[at + quads * QUADS + c] = nibble(column) | nibble(column + 4) << 4;
                        }
                    }
                }
            }
        }
    }

    fn codes(block: &[u8], codes: &mut [i8], scales: &mut [(f32, f32)]) {
        let (d, dmin) = (half_at(block, 0), half_at(block, 2));
        for (c, code) in codes.iter_mut().enumerate() {
            let (pair, second) = (c / 64, c / 32 % 2);
            *code = (block[16 + 32 * pair + c % 32] >> (4 * second) & 15) as i8;
        }
        for (group, to) in scales.iter_mut().enumerate() {
            let (scale, minimum) = scale_and_minimum(&block[4..16], group / 2);
            *to = (d * f32::from(scale), dmin * f32::from(minimum));
        }
    }

    fn weight(block: &[u8], row: usize, column: usize) -> f32 {
        let (pair, second, c) = (column / 64, column / 32 % 2, column % 32);
        let low = |part: usize| block[part + 4 * row + pair] >> (4 * second) & 15;
        let high = |shift: usize| block[HIGH + 4 * row + pair] >> (shift + 2 * second) & 3;
        let scale = low(SCALES) | high(0) << 4;
        let minimum = low(MINIMA) | high(4) << 4;
        let quants = QUANTS + column / 32 * SUB_QUANTS + c / 8 * QUADS + 4 * row + c % 4;
        let q = block[quants] >> (c / 4 % 2 * 4) & 15;
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
            let lowest = S::splat(0xff);
            for b in 0..n_blocks {
                let block = panel.add(b * Self::BLOCK_BYTES * PANEL_ROWS);
                prefetch_all::<S, ROWS>(block, QUANTS);
                let high = S::load(block.add(HIGH));
                let [mut first, mut second] =
                    joined::<S>(S::load(block.add(SCALES)), S::shl::<4>(high));
                let mut sums = [S::zero_f(); ROWS];
                for pair in 0..4 {
                    let quants = block.add(QUANTS + 2 * pair * SUB_QUANTS);
                    let q = lhs.q.add((b * 64 + pair * 16) * 4 * ROWS);
                    // This pair's is the lowest byte.
                    let scale = S::to_float(S::and(first, lowest));
                    add_products::<S, ROWS>(quants, q, scale, &mut sums);
                    let scale = S::to_float(S::and(second, lowest));
                    let (quants, q) = (quants.add(SUB_QUANTS), q.add(8 * 4 * ROWS));
                    add_products::<S, ROWS>(quants, q, scale, &mut sums);
                    (first, second) = (S::shr::<8>(first), S::shr::<8>(second));
                }
                let minima = joined::<S>(S::load(block.add(MINIMA)), high);
                let (d, dmin) = (S::load_half(block), S::load_half(block.add(DMIN)));
                for (r, sum) in sums.iter_mut().enumerate() {
                    let of_32 = lhs.split_sums.add((b * ROWS + r) * SPLIT_SUMS);
                    let upper = dot_of_8::<S>(S::zero(), minima, of_32.add(8));
                    let both = dot_of_8::<S>(S::shl::<SPLIT_BITS>(upper), minima, of_32);
                    *sum = S::mul_sub(S::to_float(both), dmin, S::mul(*sum, d));
                }
                add_scaled::<S, ROWS>(sums, lhs.scales.add(b * ROWS), out);
            }
        }
    }
}

/// Adds a sub-block's products, times its scale.
///
/// # Safety
/// As [`PanelFormat::multiply`]: a sub-block's quants, and 32 columns of `ROWS` rows.
#[inline(always)]
unsafe fn add_products<S: Simd, const ROWS: usize>(
    quants: *const u8,
    q: *const i8,
    scale: S::Float,
    sums: &mut [S::Float; ROWS],
) {
    // SAFETY: the caller's promises.
    unsafe {
        let nibble = S::splat(0x0f0f_0f0f);
        prefetch_all::<S, ROWS>(quants, SUB_QUANTS);
        let mut dots = [S::zero(); ROWS];
        for quads in 0..4 {
            let both = S::load(quants.add(quads * QUADS));
            let w = [S::and(both, nibble), S::and(S::shr::<4>(both), nibble)];
            for (quad, w) in w.into_iter().enumerate() {
                let q = q.add((2 * quads + quad) * 4 * ROWS);
                for (r, dot) in dots.iter_mut().enumerate() {
                    *dot = S::dot(*dot, w, q.add(r * 4));
                }
            }
        }
        for r in 0..ROWS {
            sums[r] = S::mul_add(S::to_float(dots[r]), scale, sums[r]);
        }
    }
}

/// Scales or minima of all pairs' first sub-blocks and second ones, a byte each:
/// their low four bits side by side in `low`, their upper two in `high`, from the
/// fifth bit of a byte on and two bits before.
///
/// # Safety
/// The processor has what `S` stands for.
#[inline(always)]
unsafe fn joined<S: Simd>(low: S::Int, high: S::Int) -> [S::Int; 2] {
    // SAFETY: the caller's promise.
    unsafe {
        let (nibble, upper) = (S::splat(0x0f0f_0f0f), S::splat(0x3030_3030));
        let join = |low, high| S::or(S::and(low, nibble), S::and(high, upper));
        [join(low, high), join(S::shr::<4>(low), S::shr::<2>(high))]
    }
}

/// `acc` plus the inner product of eight unsigned bytes a lane with those at `lhs`.
///
/// # Safety
/// The processor has what `S` stands for; eight bytes are at `lhs`.
#[inline(always)]
unsafe fn dot_of_8<S: Simd>(acc: S::Int, bytes: [S::Int; 2], lhs: *const i8) -> S::Int {
    // SAFETY: the caller's promises.
    unsafe { S::dot(S::dot(acc, bytes[0], lhs), bytes[1], lhs.add(4)) }
}
