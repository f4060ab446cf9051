//! IQ4_NL: `d * value[q]`, q of 4 bits, 32 weights.
//!
//! A packed block of 16 rows: `d: [16] f16`, then the indices as [`table`] lays them out.
use super::blocks32::{self, Blocks32};
use super::{PANEL_ROWS, PanelFormat, Scales, half_at, table};
use crate::lhs::Tile;
use crate::simd::{LANES, Simd};

pub(crate) struct Iq4Nl;

const QUANTS: usize = 2 * PANEL_ROWS;
const TABLE: [u8; 64] = table::table(table::IQ4, Iq4Nl::ZERO);

impl PanelFormat for Iq4Nl {
    const SCALES: Scales = Scales::EachBlock32;
    const BLOCK_BYTES: usize = 18;
    const LARGEST: usize = table::largest(table::IQ4, Iq4Nl::ZERO);

    fn pack(rows: &[&[u8]; PANEL_ROWS], to: &mut [u8]) {
        for (r, row) in rows.iter().enumerate() {
            to[2 * r..2 * r + 2].copy_from_slice(&row[..2]);
            table::pack(r, &row[2..], &mut to[QUANTS..]);
        }
    }

    fn codes(block: &[u8], codes: &mut [i8], scales: &mut [(f32, f32)]) {
        for (c, code) in codes.iter_mut().enumerate() {
            *code = table::IQ4[usize::from(table::index(&block[2..], c))];
        }
        scales.fill((half_at(block, 0), 0.0));
    }

    fn weight(block: &[u8], row: usize, column: usize) -> f32 {
        let index = table::packed_index(&block[QUANTS..], row, column);
        half_at(block, 2 * row) * f32::from(table::IQ4[usize::from(index)])
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

impl Blocks32 for Iq4Nl {
    const ZERO: i32 = 128;

    #[inline(always)]
    unsafe fn scale<S: Simd>(block: *const u8) -> S::Float {
        // SAFETY: the caller's promises.
        unsafe { S::load_half(block) }
    }

    #[inline(always)]
    unsafe fn quad<S: Simd>(block: *const u8, quad: usize) -> S::Int {
        // SAFETY: the caller's promises.
        unsafe { table::quad::<S>(block.add(QUANTS), &TABLE, quad) }
    }

    #[inline(always)]
    unsafe fn start<S: Simd>(start: S::Int) -> S::Int {
        // SAFETY: the caller's promise; 128 is 8 times 16.
        unsafe { S::shl::<3>(start) }
    }
}
