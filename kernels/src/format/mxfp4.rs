//! MXFP4: `2^(e - 128) * value[q]`, q of 4 bits, an exponent of 8 bits, 32 weights. The
//! values are E2M1's times 2, so the scale is half of E8M0's.
//!
//! A packed block of 16 rows: `e: [16] u8`, then the indices as [`table`] lays them out.
use super::blocks32::{self, Blocks32};
use super::{PANEL_ROWS, PanelFormat, Scales, table};
use crate::lhs::Tile;
use crate::simd::{LANES, Simd, half_of_e8m0};

pub(crate) struct Mxfp4;

const QUANTS: usize = PANEL_ROWS;
const TABLE: [u8; 64] = table::table(table::E2M1_TWICE, Mxfp4::ZERO);

impl PanelFormat for Mxfp4 {
    const SCALES: Scales = Scales::EachBlock32;
    const BLOCK_BYTES: usize = 17;
    const LARGEST: usize = table::largest(table::E2M1_TWICE, Mxfp4::ZERO);

    fn pack(rows: &[&[u8]; PANEL_ROWS], to: &mut [u8]) {
        for (r, row) in rows.iter().enumerate() {
            to[r] = row[0];
            table::pack(r, &row[1..], &mut to[QUANTS..]);
        }
    }

    fn codes(block: &[u8], codes: &mut [i8], scales: &mut [(f32, f32)]) {
        for (c, code) in codes.iter_mut().enumerate() {
            *code = table::E2M1_TWICE[usize::from(table::index(&block[1..], c))];
        }
        scales.fill((half_of_e8m0(block[0]), 0.0));
    }

    fn weight(block: &[u8], row: usize, column: usize) -> f32 {
        let index = table::packed_index(&block[QUANTS..], row, column);
        half_of_e8m0(block[row]) * f32::from(table::E2M1_TWICE[usize::from(index)])
    }

    #[inline(always)]
    unsafe fn multiply<S: Simd, const ROWS: usize>(
        panel: *const u8,
        n_blocks: usize,
        lhs: Tile,
        out: &mut [[f32; LANES]; ROWS],
    ) {
        // SAFETY: the caller's promises.
        unsafe { blocks32::multiply::<Self, S, ROWS>(panel, n_blocks, lhs, out) }
    }
}

impl Blocks32 for Mxfp4 {
    const ZERO: i32 = 16;

    #[inline(always)]
    unsafe fn scale<S: Simd>(block: *const u8) -> S::Float {
        // SAFETY: the caller's promises.
        unsafe { S::load_half_of_e8m0(block) }
    }

    #[inline(always)]
    unsafe fn quad<S: Simd>(block: *const u8, quad: usize) -> S::Int {
        // SAFETY: the caller's promises.
        unsafe { table::quad::<S>(block.add(QUANTS), &TABLE, quad) }
    }

    #[inline(always)]
    unsafe fn start<S: Simd>(start: S::Int) -> S::Int {
        start
    }
}
