//! Q6_K: `d * scale * (q - 32)`, q of 6 bits, sixteen signed scales for 16
//! weights each.
//!
//! A packed block of 16 rows is four groups of four sub-blocks, then `d: [16] f16`. A
//! group: low bits `[2 pairs][4 quads][16 rows][4 columns]`, a byte's low half of the
//! pair's first sub-block, its high half of the second; upper bits `[4 subs][16
//! rows][4 columns]`, two bits for each of the sub-block's four quads; `scales: [4
//! subs][16 rows] i8`. So memory is read nearly in order: with a block's low bits,
//! upper bits and scales each in one place, one row took 1.5 times as long.
use super::scaled::{Pairs, Scaled};
use super::{
    PANEL_ROWS, PanelFormat, Scales, add_scaled, each, eight, four, half_at, one, prefetch_all,
    put_four, twice,
};
use crate::lhs::Tile;
use crate::simd::{LANES, Simd};

pub(crate) struct Q6K;

/// Where the parts of a packed group begin.
const HIGH: usize = 8 * QUAD;
const SCALES: usize = HIGH + 4 * QUAD;
/// Bytes of a group of four sub-blocks.
const GROUP: usize = SCALES + 4 * PANEL_ROWS;
/// Where the halves begin, after four groups.
const D: usize = 4 * GROUP;
/// Bytes of four columns of all rows.
const QUAD: usize = 4 * PANEL_ROWS;

/// `q` of four columns of a row from `c` on, from the file.
fn quants(row: &[u8], c: usize) -> u32 {
    // Two halves of 128 columns: 64 bytes of low bits and 32 of upper ones each.
    let (half, c) = (c / 128, c % 128);
    let low = four(row, 64 * half + c % 64) >> (c / 64 * 4) & each(15);
    let high = four(row, 128 + 32 * half + c % 32) >> (c / 32 * 2) & each(3);
    low | high << 4
}

impl PanelFormat for Q6K {
    const SCALES: Scales = Scales::EachBlock256;
    const BLOCK_BYTES: usize = 210;
    const LARGEST: usize = 63;

    fn pack(rows: &[&[u8]; PANEL_ROWS], to: &mut [u8]) {
        let to = &mut to[..PANEL_ROWS * Self::BLOCK_BYTES];
        for (r, row) in rows.iter().enumerate() {
            let row = &row[..Self::BLOCK_BYTES];
            to[D + 2 * r..D + 2 * r + 2].copy_from_slice(&row[208..210]);
            for (g, to) in to[..D].chunks_exact_mut(GROUP).enumerate() {
                let to = &mut to[..GROUP];
                for sub in 0..4 {
                    to[SCALES + sub * PANEL_ROWS + r] = row[192 + 4 * g + sub];
                }
                // As in `quants`: a half of 128 columns is two groups.
                let (half, second) = (g / 2, g % 2);
                for pair in 0..2 {
                    let mut high = [0; 2];
                    for quads in 0..2 {
                        let at = |c: usize| 64 * half + 32 * pair + c + 8 * quads;
                        let [a, b] = [0, 16].map(|c| eight(row, at(c)) >> (4 * second));
                        let low = a & twice(each(15)) | (b & twice(each(15))) << 4;
                        let at = (4 * pair + 2 * quads) * QUAD + 4 * r;
                        put_four(to, at, low as u32);
                        put_four(to, at + QUAD, (low >> 32) as u32);
                        for (high, c) in high.iter_mut().zip([0, 16]) {
                            let bits = eight(row, 128 + 32 * half + c + 8 * quads);
                            let bits = bits >> (4 * second + 2 * pair) & twice(each(3));
                            let both = bits as u32 | ((bits >> 32) as u32) << 2;
                            *high |= both << (4 * quads);
                        }
                    }
                    for (sub, high) in high.into_iter().enumerate() {
                        put_four(to, HIGH + (2 * pair + sub) * QUAD + 4 * r, high);
                    }
                }
            }
        }
    }

    fn codes(block: &[u8], codes: &mut [i8], scales: &mut [(f32, f32)]) {
        for (c, code) in codes.iter_mut().enumerate() {
            *code = one(|c| quants(block, c), c) as i8 - 32;
        }
        for (group, to) in scales.iter_mut().enumerate() {
            *to = (
                half_at(block, 208) * f32::from(block[192 + group] as i8),
                0.0,
            );
        }
    }

    fn weight(block: &[u8], row: usize, column: usize) -> f32 {
        let (sub, i) = (column / 16, column % 16);
        let (quad, lane) = (i / 4, 4 * row + i % 4);
        let group = &block[sub / 4 * GROUP..][..GROUP];
        let low = group[(sub % 4 / 2 * 4 + quad) * QUAD + lane] >> (sub % 2 * 4) & 15;
        let high = group[HIGH + sub % 4 * QUAD + lane] >> (2 * quad) & 3;
        let scale = group[SCALES + sub % 4 * PANEL_ROWS + row] as i8;
        half_at(block, D + 2 * row) * f32::from(scale) * (f32::from(low | high << 4) - 32.0)
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
            for b in 0..n_blocks {
                let block = panel.add(b * Self::BLOCK_BYTES * PANEL_ROWS);
                prefetch_all::<S, ROWS>(block.add(D), 2 * PANEL_ROWS);
                let mut sums = [S::zero_f(); ROWS];
                for g in 0..4 {
                    let group = block.add(g * GROUP);
                    prefetch_all::<S, ROWS>(group, GROUP);
                    let at = b * 16 + g * 4;
                    let (q, starts) = (lhs.q.add(at * 16 * ROWS), lhs.starts.add(at * ROWS));
                    add_sub::<S, ROWS, 0>(group, q, starts, &mut sums);
                    add_sub::<S, ROWS, 1>(group, q, starts, &mut sums);
                    add_sub::<S, ROWS, 2>(group, q, starts, &mut sums);
                    add_sub::<S, ROWS, 3>(group, q, starts, &mut sums);
                }
                let d = S::load_half(block.add(D));
                for sum in &mut sums {
                    *sum = S::mul(*sum, d);
                }
                add_scaled::<S, ROWS>(sums, lhs.scales.add(b * ROWS), out);
            }
        }
    }
}

/// The quants of sub-block `SUB` of a group.
struct SubBlock<S: Simd, const SUB: usize> {
    /// The low bits of its pair.
    low: *const u8,
    /// The two upper bits of each quad at their place in a byte, among others.
    high: [S::Int; 4],
}

impl<S: Simd, const SUB: usize> SubBlock<S, SUB> {
    /// # Safety
    /// As [`Pairs::pair`].
    #[inline(always)]
    unsafe fn quad(&self, quad: usize) -> S::Int {
        // SAFETY: the caller's promises.
        unsafe {
            let both = S::load(self.low.add(quad * QUAD));
            let low = match SUB % 2 {
                0 => both,
                _ => S::shr::<4>(both),
            };
            let (nibble, upper) = (S::splat(0x0f0f_0f0f), S::splat(0x3030_3030));
            S::or(S::and(low, nibble), S::and(self.high[quad], upper))
        }
    }
}

impl<S: Simd, const SUB: usize> Pairs<S> for SubBlock<S, SUB> {
    #[inline(always)]
    unsafe fn pair(&self, pair: usize) -> [S::Int; 2] {
        // SAFETY: the caller's promises.
        unsafe { [self.quad(2 * pair), self.quad(2 * pair + 1)] }
    }
}

/// Adds the products of sub-block `SUB` of a group, times its scale.
///
/// # Safety
/// As [`PanelFormat::multiply`]: a group, its columns of `ROWS` rows, their starts.
#[inline(always)]
unsafe fn add_sub<S: Simd, const ROWS: usize, const SUB: usize>(
    group: *const u8,
    q: *const i8,
    starts: *const i32,
    sums: &mut [S::Float; ROWS],
) {
    // SAFETY: the caller's promises.
    unsafe {
        let high = S::load(group.add(HIGH + SUB * QUAD));
        // The two bits of each quad at their place in a byte.
        let high = [
            S::shl::<4>(high),
            S::shl::<2>(high),
            high,
            S::shr::<2>(high),
        ];
        let mut run = Scaled {
            weights: SubBlock::<S, SUB> {
                low: group.add(SUB / 2 * 4 * QUAD),
                high,
            },
            starts: starts.add(SUB * ROWS),
            scale: S::to_float(S::widen_i8(group.add(SCALES + SUB * PANEL_ROWS))),
            sums,
        };
        S::dots::<ROWS, 2>(&mut run, Q6K::LARGEST, q.add(SUB * 16 * ROWS));
    }
}
