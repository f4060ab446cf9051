//! Q5_0: `d * (q - 16)`, q of 5 bits, 32 weights.
//!
//! A packed block of 16 rows: `d: [16] f16`, fifth bits `[8 quads] u64` (bit number
//! `4 r + c` is row r's column c of the quad), low bits `[4 quads][16 rows][4
//! columns]`, a byte's low half of quad i, its high half of quad `i + 4`.
use super::blocks32::{self, Blocks32};
use super::{PANEL_ROWS, PanelFormat, Scales, half_at};
use crate::lhs::Tile;
use crate::simd::{LANES, Simd};

pub(crate) struct Q50;

const FIFTH: usize = 2 * PANEL_ROWS;
const LOW: usize = FIFTH + 8 * 8;
const QUAD: usize = 4 * PANEL_ROWS;

impl PanelFormat for Q50 {
    const SCALES: Scales = Scales::EachBlock32;
    const BLOCK_BYTES: usize = 22;
    const LARGEST: usize = 31;

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

    fn codes(block: &[u8], codes: &mut [i8], scales: &mut [(f32, f32)]) {
        let fifth = u32::from_le_bytes([block[2], block[3], block[4], block[5]]);
        for (c, code) in codes.iter_mut().enumerate() {
            let low = block[6 + c % 16] >> (c / 16 * 4) & 15;
            *code = (low | ((fifth >> c & 1) as u8) << 4) as i8 - Self::ZERO as i8;
        }
        scales.fill((half_at(block, 0), 0.0));
    }

    fn weight(block: &[u8], row: usize, column: usize) -> f32 {
        let (quad, lane) = (column / 4, 4 * row + column % 4);
        let low = block[LOW + quad % 4 * QUAD + lane] >> (quad / 4 * 4) & 15;
        let fifth = block[FIFTH + quad * 8 + lane / 8] >> (lane % 8) & 1;
        half_at(block, 2 * row) * (i32::from(low | fifth << 4) - Self::ZERO) as f32
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

impl Blocks32 for Q50 {
    const ZERO: i32 = 16;

    #[inline(always)]
    unsafe fn scale<S: Simd>(block: *const u8) -> S::Float {
        // SAFETY: the caller's promises.
        unsafe { S::load_half(block) }
    }

    #[inline(always)]
    unsafe fn quad<S: Simd>(block: *const u8, quad: usize) -> S::Int {
        // SAFETY: the caller's promises.
        unsafe {
            let (both, nibble) = (
                S::load(block.add(LOW + quad % 4 * QUAD)),
                S::splat(0x0f0f_0f0f),
            );
            let low = match quad / 4 {
                0 => S::and(both, nibble),
                _ => S::and(S::shr::<4>(both), nibble),
            };
            S::add_where(low, block.add(FIFTH + 8 * quad), 16)
        }
    }

    #[inline(always)]
    unsafe fn start<S: Simd>(start: S::Int) -> S::Int {
        start
    }
}
