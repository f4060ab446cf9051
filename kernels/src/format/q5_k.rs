//! Q5_K: `d * scale * q - dmin * minimum`, q of 5 bits, eight scales and minima
//! of 6 bits for 32 weights each.
//!
//! A packed block of 16 rows is the head of [`blocks256`] and eight sub-blocks: fifth bits
//! `[16 rows][4 columns]`, bit i of a byte that of quad i, then the nibbles.
use super::blocks256::{self, Blocks256, HEAD, SUB_NIBBLES};
use super::{PANEL_ROWS, PanelFormat, Scales, each, four, one, put_four};
use crate::lhs::Tile;
use crate::simd::{LANES, Simd};

pub(crate) struct Q5K;

/// Bytes of a sub-block's fifth bits: there its nibbles begin.
const NIBBLES: usize = 4 * PANEL_ROWS;
const SUB: usize = NIBBLES + SUB_NIBBLES;

/// `q` of four columns of a row from `c` on, from the file.
fn quants(row: &[u8], c: usize) -> u32 {
    // A byte holds the low bits of a weight of each of a pair of sub-blocks, or the fifth
    // bits of a weight of all eight.
    let low = four(row, 48 + c / 64 * 32 + c % 32) >> (c / 32 % 2 * 4) & each(15);
    let fifth = four(row, 16 + c % 32) >> (c / 32) & each(1);
    low | fifth << 4
}

impl PanelFormat for Q5K {
    const SCALES: Scales = Scales::EachBlock256;
    const BLOCK_BYTES: usize = 176;
    const LARGEST: usize = 31;

    fn pack(rows: &[&[u8]; PANEL_ROWS], to: &mut [u8]) {
        let to = &mut to[..PANEL_ROWS * Self::BLOCK_BYTES];
        for (r, row) in rows.iter().enumerate() {
            let row = &row[..Self::BLOCK_BYTES];
            blocks256::pack_head(r, row, to);
            for (sub, to) in to[HEAD..].chunks_exact_mut(SUB).enumerate() {
                let quants = |c: usize| quants(row, 32 * sub + c);
                let fifths = (0..8).map(|quad| (quants(4 * quad) >> 4 & each(1)) << quad);
                put_four(to, 4 * r, fifths.fold(0, |all, fifth| all | fifth));
                blocks256::pack_nibbles(r, quants, &mut to[NIBBLES..]);
            }
        }
    }

    fn codes(block: &[u8], codes: &mut [i8], scales: &mut [(f32, f32)]) {
        for (c, code) in codes.iter_mut().enumerate() {
            *code = one(|c| quants(block, c), c) as i8;
        }
        blocks256::worths(block, scales);
    }

    fn weight(block: &[u8], row: usize, column: usize) -> f32 {
        let (sub, c) = (column / 32, column % 32);
        let quants = &block[HEAD + sub * SUB..][..SUB];
        let fifth = quants[4 * row + c % 4] >> (c / 4) & 1;
        let q = blocks256::nibble(&quants[NIBBLES..], row, c) | fifth << 4;
        blocks256::weight(block, row, sub, q)
    }

    #[inline(always)]
    unsafe fn multiply<S: Simd, const ROWS: usize>(
        panel: *const u8,
        n_blocks: usize,
        lhs: Tile,
        out: &mut [[f32; LANES]; ROWS],
    ) {
        // SAFETY: the caller's promises.
        unsafe { blocks256::multiply::<Self, S, ROWS>(panel, n_blocks, lhs, out) }
    }
}

impl Blocks256 for Q5K {
    const SUB_BYTES: usize = SUB;

    #[inline(always)]
    unsafe fn quads<S: Simd>(sub: *const u8, i: usize) -> [S::Int; 2] {
        // SAFETY: the caller's promises.
        unsafe {
            let [first, second] = blocks256::nibbles::<S>(sub.add(NIBBLES), i);
            let bits = S::load(sub);
            // The bit of each quad as the fifth of a byte.
            let [of_first, of_second] = match i {
                0 => [S::shl::<4>(bits), S::shl::<3>(bits)],
                1 => [S::shl::<2>(bits), S::shl::<1>(bits)],
                2 => [bits, S::shr::<1>(bits)],
                _ => [S::shr::<2>(bits), S::shr::<3>(bits)],
            };
            let fifth = S::splat(0x1010_1010);
            [
                S::or(first, S::and(of_first, fifth)),
                S::or(second, S::and(of_second, fifth)),
            ]
        }
    }
}
