//! IQ4_XS: `d * (scale - 32) * value[q]`, q of 4 bits, eight scales of 6 bits for 32
//! weights each.
//!
//! A packed block of 16 rows: `d: [16] f16`; the scales' low four bits `[16 rows][4 pairs]
//! (s0 | s1 << 4)`; their upper two, `[16] u16` (see [`high_place`]); eight sub-blocks of
//! nibbles as in [`blocks256`].
use super::blocks256::{self, Blocks256, SUB_NIBBLES, add_products, dot_with_sums, joined};
use super::{
    PANEL_ROWS, PanelFormat, Scales, add_scaled, each, four, half_at, one, prefetch_all, table,
};
use crate::lhs::{SPLIT_SUMS, Tile};
use crate::simd::{LANES, Simd};

pub(crate) struct Iq4Xs;

/// Where the parts of a packed block begin.
const LOW: usize = 2 * PANEL_ROWS;
const HIGH: usize = LOW + 4 * PANEL_ROWS;
const QUANTS: usize = HIGH + 2 * PANEL_ROWS;

/// The stored numbers for a value of 0 and for a scale of 0.
const ZERO: i32 = 128;
const SCALE_ZERO: i32 = 32;

const TABLE: [u8; 64] = table::table(table::IQ4, ZERO);

/// Scale of sub-block `sub`, from the file.
fn scale(row: &[u8], sub: usize) -> u8 {
    let low = row[4 + sub / 2] >> (sub % 2 * 4) & 15;
    let high = u16::from_le_bytes([row[2], row[3]]) >> (2 * sub) & 3;
    low | (high as u8) << 4
}

/// Indices of four columns of a row from `c` on, from the file.
fn quants(row: &[u8], c: usize) -> u32 {
    four(row, 8 + c / 32 * 16 + c % 16) >> (c / 16 % 2 * 4) & each(15)
}

/// First of the two bits that hold the upper ones of sub-block `sub`'s scale: where those
/// of byte p of a lane are wanted at bits 4 to 7, once `x | x << 20` has been taken.
fn high_place(sub: usize) -> usize {
    (4 + sub / 2 * 8) % 20 + sub % 2 * 2
}

/// The number that a stored scale stands for.
fn signed(scale: u8) -> f32 {
    f32::from(i16::from(scale) - SCALE_ZERO as i16)
}

impl PanelFormat for Iq4Xs {
    const SCALES: Scales = Scales::EachBlock256;
    const BLOCK_BYTES: usize = 136;
    const LARGEST: usize = table::largest(table::IQ4, ZERO);

    fn pack(rows: &[&[u8]; PANEL_ROWS], to: &mut [u8]) {
        let to = &mut to[..PANEL_ROWS * Self::BLOCK_BYTES];
        for (r, row) in rows.iter().enumerate() {
            let row = &row[..Self::BLOCK_BYTES];
            to[2 * r..2 * r + 2].copy_from_slice(&row[..2]);
            // In the file too a byte holds a pair's low bits.
            to[LOW + 4 * r..][..4].copy_from_slice(&row[4..8]);
            let high = (0..8).map(|sub| u16::from(scale(row, sub) >> 4) << high_place(sub));
            let high = high.fold(0, |all, bits| all | bits);
            to[HIGH + 2 * r..][..2].copy_from_slice(&high.to_le_bytes());
            for (sub, to) in to[QUANTS..].chunks_exact_mut(SUB_NIBBLES).enumerate() {
                blocks256::pack_nibbles(r, |c| quants(row, 32 * sub + c), to);
            }
        }
    }

    fn codes(block: &[u8], codes: &mut [i8], scales: &mut [(f32, f32)]) {
        for (c, code) in codes.iter_mut().enumerate() {
            *code = table::IQ4[usize::from(one(|c| quants(block, c), c))];
        }
        for (group, to) in scales.iter_mut().enumerate() {
            *to = (half_at(block, 0) * signed(scale(block, group / 2)), 0.0);
        }
    }

    fn weight(block: &[u8], row: usize, column: usize) -> f32 {
        let sub = column / 32;
        let low = block[LOW + 4 * row + sub / 2] >> (sub % 2 * 4) & 15;
        let high = u16::from_le_bytes([block[HIGH + 2 * row], block[HIGH + 2 * row + 1]]);
        let scale = low | ((high >> high_place(sub) & 3) as u8) << 4;
        let quants = &block[QUANTS + sub * SUB_NIBBLES..][..SUB_NIBBLES];
        let index = blocks256::nibble(quants, row, column % 32);
        half_at(block, 2 * row) * signed(scale) * f32::from(table::IQ4[usize::from(index)])
    }

    #[inline(always)]
    unsafe fn multiply<S: Simd, const ROWS: usize>(
        panel: *const u8,
        n_blocks: usize,
        lhs: Tile,
        out: &mut [[f32; LANES]; ROWS],
    ) {
        // SAFETY: the caller's promises; every offset lies in the layout above.
        unsafe {
            let lowest = S::splat(0xff);
            let scale_zero = S::splat_f(SCALE_ZERO as f32);
            for b in 0..n_blocks {
                let block = panel.add(b * Self::BLOCK_BYTES * PANEL_ROWS);
                prefetch_all::<S, ROWS>(block, QUANTS);
                let high = S::widen_u16(block.add(HIGH));
                let high = S::or(high, S::shl::<20>(high));
                let scales = joined::<S>(S::load(block.add(LOW)), high);
                let [mut first, mut second] = scales;
                let mut sums = [S::zero_f(); ROWS];
                for pair in 0..4 {
                    let sub = block.add(QUANTS + 2 * pair * SUB_NIBBLES);
                    let q = lhs.q.add((b * 64 + pair * 16) * 4 * ROWS);
                    // This pair's is the lowest byte.
                    let scale = S::sub(S::to_float(S::and(first, lowest)), scale_zero);
                    add_products::<Self, S, ROWS>(sub, q, scale, &mut sums);
                    let scale = S::sub(S::to_float(S::and(second, lowest)), scale_zero);
                    let (sub, q) = (sub.add(SUB_NIBBLES), q.add(8 * 4 * ROWS));
                    add_products::<Self, S, ROWS>(sub, q, scale, &mut sums);
                    (first, second) = (S::shr::<8>(first), S::shr::<8>(second));
                }
                let d = S::load_half(block);
                let (zero, zeros) = (S::splat_f(ZERO as f32), S::splat(SCALE_ZERO * 0x0101_0101));
                for (r, sum) in sums.iter_mut().enumerate() {
                    // The part of the products that is due to the zeros: all whole numbers.
                    let of_32 = lhs.split_sums.add((b * ROWS + r) * SPLIT_SUMS);
                    let scaled = S::to_float(dot_with_sums::<S>(scales, of_32));
                    let of_zeros = S::to_float(dot_with_sums::<S>([zeros; 2], of_32));
                    *sum = S::mul(S::mul_sub(S::sub(scaled, of_zeros), zero, *sum), d);
                }
                add_scaled::<S, ROWS>(sums, lhs.scales.add(b * ROWS), out);
            }
        }
    }
}

impl Blocks256 for Iq4Xs {
    const SUB_BYTES: usize = SUB_NIBBLES;

    #[inline(always)]
    unsafe fn quads<S: Simd>(sub: *const u8, i: usize) -> [S::Int; 2] {
        // SAFETY: the caller's promises.
        unsafe {
            let table = S::load(TABLE.as_ptr());
            let [first, second] = blocks256::nibbles::<S>(sub, i);
            [S::lookup(table, first), S::lookup(table, second)]
        }
    }
}
