//! Q4_K: `d * scale * q - dmin * minimum`, q of 4 bits, eight scales and minima
//! of 6 bits for 32 weights each.
//!
//! A packed block of 16 rows is the head of [`blocks256`] and eight sub-blocks of nibbles.
use super::blocks256::{self, Blocks256, HEAD, SUB_NIBBLES};
use super::{PANEL_ROWS, PanelFormat, Scales, each, four, one};
use crate::lhs::Tile;
use crate::simd::{LANES, Simd};

pub(crate) struct Q4K;

/// `q` of four columns of a row from `c` on, from the file.
fn quants(row: &[u8], c: usize) -> u32 {
    // A byte holds a weight of each of a pair of sub-blocks.
    four(row, 16 + c / 64 * 32 + c % 32) >> (c / 32 % 2 * 4) & each(15)
}

impl PanelFormat for Q4K {
    const SCALES: Scales = Scales::EachBlock256;
    const BLOCK_BYTES: usize = 144;
    const LARGEST: usize = 15;

    fn pack(rows: &[&[u8]; PANEL_ROWS], to: &mut [u8]) {
        let to = &mut to[..PANEL_ROWS * Self::BLOCK_BYTES];
        for (r, row) in rows.iter().enumerate() {
            let row = &row[..Self::BLOCK_BYTES];
            blocks256::pack_head(r, row, to);
            let pairs = to[HEAD..].chunks_exact_mut(2 * SUB_NIBBLES);
            for (to, file) in pairs.zip(row[16..].chunks_exact(32)) {
                blocks256::pack_both_nibbles(r, file, to);
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
        let sub = column / 32;
        let quants = &block[HEAD + sub * SUB_NIBBLES..][..SUB_NIBBLES];
        let q = blocks256::nibble(quants, row, column % 32);
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

impl Blocks256 for Q4K {
    const SUB_BYTES: usize = SUB_NIBBLES;

    #[inline(always)]
    unsafe fn quads<S: Simd>(sub: *const u8, i: usize) -> [S::Int; 2] {
        // SAFETY: the caller's promises.
        unsafe { blocks256::nibbles::<S>(sub, i) }
    }
}
