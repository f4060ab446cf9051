//! Q8_0: `d * q`, q of 8 bits with a sign, 32 weights.
//!
//! A packed block of 16 rows: `d: [16] f16`, then `[8 quads][16 rows][4 columns]`
//! of `q + 128`, since the products take weights without a sign.
use super::blocks32::{self, Blocks32};
use super::{PANEL_ROWS, PanelFormat, Scales, each, four, half_at, put_four};
use crate::lhs::Tile;
use crate::simd::{LANES, Simd};

pub(crate) struct Q80;

const QUANTS: usize = 2 * PANEL_ROWS;
const QUAD: usize = 4 * PANEL_ROWS;

impl PanelFormat for Q80 {
    const SCALES: Scales = Scales::EachBlock32;
    const BLOCK_BYTES: usize = 34;
    const LARGEST: usize = 255;

    fn pack(rows: &[&[u8]; PANEL_ROWS], to: &mut [u8]) {
        let to = &mut to[..PANEL_ROWS * Self::BLOCK_BYTES];
        for (r, row) in rows.iter().enumerate() {
            let row = &row[..Self::BLOCK_BYTES];
            to[2 * r..2 * r + 2].copy_from_slice(&row[..2]);
            for quad in 0..8 {
                let q = four(row, 2 + 4 * quad) ^ each(0x80);
                put_four(to, QUANTS + quad * QUAD + 4 * r, q);
            }
        }
    }

    fn codes(block: &[u8], codes: &mut [i8], scales: &mut [(f32, f32)]) {
        for (code, &byte) in codes.iter_mut().zip(&block[2..]) {
            *code = byte as i8;
        }
        scales.fill((half_at(block, 0), 0.0));
    }

    fn weight(block: &[u8], row: usize, column: usize) -> f32 {
        let q = block[QUANTS + column / 4 * QUAD + 4 * row + column % 4];
        half_at(block, 2 * row) * (i32::from(q) - Self::ZERO) as f32
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

impl Blocks32 for Q80 {
    const ZERO: i32 = 128;

    #[inline(always)]
    unsafe fn scale<S: Simd>(block: *const u8) -> S::Float {
        // SAFETY: the caller's promises.
        unsafe { S::load_half(block) }
    }

    #[inline(always)]
    unsafe fn quad<S: Simd>(block: *const u8, quad: usize) -> S::Int {
        // SAFETY: the caller's promises.
        unsafe { S::load(block.add(QUANTS + quad * QUAD)) }
    }

    #[inline(always)]
    unsafe fn start<S: Simd>(start: S::Int) -> S::Int {
        // SAFETY: the caller's promise; 128 is 8 times 16.
        unsafe { S::shl::<3>(start) }
    }
}
