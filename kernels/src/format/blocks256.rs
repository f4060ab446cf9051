//! Blocks of 256 weights with a scale of 6 bits for each 32: eight sub-blocks.
//!
//! A sub-block's quants have four bits each in `[4][16 rows][4 columns]`, a byte's low
//! half of quad `2 i` of the sub-block, its high half of the next one, so that no byte
//! is wanted twice.
use super::scaled::{Pairs, Scaled};
use super::{
    PANEL_ROWS, PanelFormat, add_scaled, each, eight, four, half_at, prefetch_all, put_four, twice,
};
use crate::lhs::{SPLIT_BITS, SPLIT_SUMS, Tile};
use crate::simd::{LANES, Simd};
use std::marker::PhantomData;

/// Bytes of two quads of nibbles of all rows.
const QUADS: usize = 4 * PANEL_ROWS;
/// Bytes of a sub-block's nibbles of all rows.
pub(super) const SUB_NIBBLES: usize = 4 * QUADS;

/// Where the parts of a head with minima begin.
const DMIN: usize = 2 * PANEL_ROWS;
const SCALES: usize = 4 * PANEL_ROWS;
const MINIMA: usize = SCALES + 4 * PANEL_ROWS;
const HIGH: usize = MINIMA + 4 * PANEL_ROWS;
/// Bytes of the head: there the sub-blocks begin.
pub(super) const HEAD: usize = HIGH + 4 * PANEL_ROWS;

/// A format of such blocks.
pub(super) trait Blocks256: PanelFormat {
    /// Bytes of a packed sub-block's quants.
    const SUB_BYTES: usize;

    /// The stored numbers of the weights of quads `2 i` and `2 i + 1` of a sub-block, `[16
    /// rows][4 columns]` each.
    ///
    /// # Safety
    /// The processor has what `S` stands for; a packed sub-block is at `sub`.
    unsafe fn quads<S: Simd>(sub: *const u8, i: usize) -> [S::Int; 2];
}

/// Lays out the low four bits of what `quants` gives for the 32 columns of row `row`, by
/// fours from a column on.
#[inline(always)]
pub(super) fn pack_nibbles(row: usize, quants: impl Fn(usize) -> u32, to: &mut [u8]) {
    let to = &mut to[..SUB_NIBBLES];
    for i in 0..4 {
        let [low, high] = [8 * i, 8 * i + 4].map(|column| quants(column) & each(15));
        put_four(to, i * QUADS + 4 * row, low | high << 4);
    }
}

/// Lays out two sub-blocks of row `row` whose nibbles share the file's 32 bytes: the first
/// has a byte's low half.
#[inline(always)]
pub(super) fn pack_both_nibbles(row: usize, file: &[u8], to: &mut [u8]) {
    let (file, to) = (&file[..32], &mut to[..2 * SUB_NIBBLES]);
    for i in 0..4 {
        let quads = eight(file, 8 * i);
        let (first, second) = (quads as u32, (quads >> 32) as u32);
        let low = first & each(15) | (second & each(15)) << 4;
        let high = first >> 4 & each(15) | second & each(0xf0);
        put_four(to, i * QUADS + 4 * row, low);
        put_four(to, SUB_NIBBLES + i * QUADS + 4 * row, high);
    }
}

/// The nibble of column `column` of row `row` of a packed sub-block.
pub(super) fn nibble(sub: &[u8], row: usize, column: usize) -> u8 {
    sub[column / 8 * QUADS + 4 * row + column % 4] >> (column / 4 % 2 * 4) & 15
}

/// The nibbles of quads `2 i` and `2 i + 1`.
///
/// # Safety
/// The processor has what `S` stands for; a packed sub-block is at `sub`.
#[inline(always)]
pub(super) unsafe fn nibbles<S: Simd>(sub: *const u8, i: usize) -> [S::Int; 2] {
    // SAFETY: the caller's promises.
    unsafe {
        let (both, nibble) = (S::load(sub.add(i * QUADS)), S::splat(0x0f0f_0f0f));
        [S::and(both, nibble), S::and(S::shr::<4>(both), nibble)]
    }
}

/// The quants of a packed sub-block.
struct SubBlock<F>(*const u8, PhantomData<F>);

impl<F: Blocks256, S: Simd> Pairs<S> for SubBlock<F> {
    #[inline(always)]
    unsafe fn pair(&self, pair: usize) -> [S::Int; 2] {
        // SAFETY: the caller's promises.
        unsafe { F::quads::<S>(self.0, pair) }
    }
}

/// Adds a sub-block's products, times its scale.
///
/// # Safety
/// As [`PanelFormat::multiply`]: a sub-block's quants, and 32 columns of `ROWS` rows.
#[inline(always)]
pub(super) unsafe fn add_products<F: Blocks256, S: Simd, const ROWS: usize>(
    sub: *const u8,
    q: *const i8,
    scale: S::Float,
    sums: &mut [S::Float; ROWS],
) {
    // SAFETY: the caller's promises.
    unsafe {
        prefetch_all::<S, ROWS>(sub, F::SUB_BYTES);
        let mut run = Scaled {
            weights: SubBlock::<F>(sub, PhantomData),
            starts: std::ptr::null(),
            scale,
            sums,
        };
        S::dots::<ROWS, 4>(&mut run, F::LARGEST, q);
    }
}

/// Eight numbers of 6 bits a lane, those of all pairs' first sub-blocks and of their
/// second ones, a byte each: their low four bits side by side in `low`, their upper two in
/// `high`, from the fifth bit of a byte on and two bits behind.
///
/// # Safety
/// The processor has what `S` stands for.
#[inline(always)]
pub(super) unsafe fn joined<S: Simd>(low: S::Int, high: S::Int) -> [S::Int; 2] {
    // SAFETY: the caller's promise.
    unsafe {
        let (nibble, upper) = (S::splat(0x0f0f_0f0f), S::splat(0x3030_3030));
        let join = |low, high| S::or(S::and(low, nibble), S::and(high, upper));
        [join(low, high), join(S::shr::<4>(low), S::shr::<2>(high))]
    }
}

/// In each lane the inner product of its eight unsigned bytes, as [`joined`] gives them,
/// with the sums of 32 bytes of a row of the left side.
///
/// # Safety
/// The processor has what `S` stands for; a block's split sums are at `sums_of_32`.
#[inline(always)]
pub(super) unsafe fn dot_with_sums<S: Simd>(bytes: [S::Int; 2], sums_of_32: *const i8) -> S::Int {
    // SAFETY: the caller's promises.
    unsafe {
        let dot = |acc, at: *const i8| S::dot(S::dot(acc, bytes[0], at), bytes[1], at.add(4));
        let upper = dot(S::zero(), sums_of_32.add(8));
        dot(S::shl::<SPLIT_BITS>(upper), sums_of_32)
    }
}

/// Scales and minima of the eight sub-blocks, a byte each, from the file's 12 packed bytes:
/// six bits each of the first four, the others' low four bits, and their upper two where the
/// first four leave room.
#[inline(always)]
fn scales_and_minima(packed: &[u8]) -> [u64; 2] {
    let [scales, minima, low] = [0, 4, 8].map(|at| four(packed, at));
    let joined = |first: u32, low: u32| {
        let second = low & each(15) | (first >> 6 & each(3)) << 4;
        u64::from(first & each(63)) | u64::from(second) << 32
    };
    [joined(scales, low), joined(minima, low >> 4)]
}

/// The four even bytes of eight.
#[inline(always)]
fn even_bytes(bytes: u64) -> u32 {
    let pairs = bytes & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
    (fours | fours >> 16) as u32
}

/// Scale and minimum of each 16 weights of a block with minima, from the file.
pub(super) fn worths(block: &[u8], scales: &mut [(f32, f32)]) {
    let (d, dmin) = (half_at(block, 0), half_at(block, 2));
    let [of, minima] = scales_and_minima(&block[4..16]).map(u64::to_le_bytes);
    for (group, to) in scales.iter_mut().enumerate() {
        let (scale, minimum) = (of[group / 2], minima[group / 2]);
        *to = (d * f32::from(scale), dmin * f32::from(minimum));
    }
}

/// Lays out the head of row `row` of a block with minima, the file's first 16 bytes: `d:
/// [16] f16`, `dmin: [16] f16`, then `[16 rows][4 pairs] (s0 | s1 << 4)` and `[16][4] (m0 |
/// m1 << 4)` with the low four bits of scales and minima, `[16][4] (s0 | s1 << 2 | m0 << 4
/// | m1 << 6)` with their upper two.
pub(super) fn pack_head(row: usize, file: &[u8], to: &mut [u8]) {
    to[2 * row..2 * row + 2].copy_from_slice(&file[..2]);
    to[DMIN + 2 * row..DMIN + 2 * row + 2].copy_from_slice(&file[2..4]);
    let [scales, minima] = scales_and_minima(&file[4..16]);
    // Of each pair, the second's bits behind the first's, in its byte.
    let low = |numbers: u64| {
        let low = numbers & twice(each(15));
        even_bytes(low | low >> 4)
    };
    let high = |numbers: u64| {
        let high = numbers >> 4 & twice(each(3));
        even_bytes(high | high >> 6)
    };
    put_four(to, SCALES + 4 * row, low(scales));
    put_four(to, MINIMA + 4 * row, low(minima));
    put_four(to, HIGH + 4 * row, high(scales) | high(minima) << 4);
}

/// A weight of sub-block `sub` of row `row` of a packed block, of which `q` is stored.
pub(super) fn weight(block: &[u8], row: usize, sub: usize, q: u8) -> f32 {
    let (at, second) = (4 * row + sub / 2, sub % 2);
    let low = |part: usize| block[part + at] >> (4 * second) & 15;
    let high = |shift: usize| block[HIGH + at] >> (shift + 2 * second) & 3;
    let scale = low(SCALES) | high(0) << 4;
    let minimum = low(MINIMA) | high(4) << 4;
    half_at(block, 2 * row) * f32::from(scale) * f32::from(q)
        - half_at(block, DMIN + 2 * row) * f32::from(minimum)
}

/// [`PanelFormat::multiply`] for a format with minima.
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn multiply<F: Blocks256, S: Simd, const ROWS: usize>(
    panel: *const u8,
    n_blocks: usize,
    lhs: Tile,
    out: &mut [[f32; LANES]; ROWS],
) {
    // SAFETY: the caller's promises; every offset lies in the layouts above.
    unsafe {
        let lowest = S::splat(0xff);
        for b in 0..n_blocks {
            let block = panel.add(b * F::BLOCK_BYTES * PANEL_ROWS);
            prefetch_all::<S, ROWS>(block, HEAD);
            let high = S::load(block.add(HIGH));
            let [mut first, mut second] =
                joined::<S>(S::load(block.add(SCALES)), S::shl::<4>(high));
            let mut sums = [S::zero_f(); ROWS];
            for pair in 0..4 {
                let sub = block.add(HEAD + 2 * pair * F::SUB_BYTES);
                let q = lhs.q.add((b * 64 + pair * 16) * 4 * ROWS);
                // This pair's is the lowest byte.
                let scale = S::to_float(S::and(first, lowest));
                add_products::<F, S, ROWS>(sub, q, scale, &mut sums);
                let scale = S::to_float(S::and(second, lowest));
                let (sub, q) = (sub.add(F::SUB_BYTES), q.add(8 * 4 * ROWS));
                add_products::<F, S, ROWS>(sub, q, scale, &mut sums);
                (first, second) = (S::shr::<8>(first), S::shr::<8>(second));
            }
            let minima = joined::<S>(S::load(block.add(MINIMA)), high);
            let (d, dmin) = (S::load_half(block), S::load_half(block.add(DMIN)));
            for (r, sum) in sums.iter_mut().enumerate() {
                let of_32 = lhs.split_sums.add((b * ROWS + r) * SPLIT_SUMS);
                let both = S::to_float(dot_with_sums::<S>(minima, of_32));
                *sum = S::mul_sub(both, dmin, S::mul(*sum, d));
            }
            add_scaled::<S, ROWS>(sums, lhs.scales.add(b * ROWS), out);
        }
    }
}
