//! Q3_K: `d * (scale - 32) * (q - 4)`, q of 3 bits, sixteen scales of 6 bits for 16
//! weights each.
//!
//! A packed block of 16 rows is four groups of four sub-blocks, then `d: [16] f16`. A
//! group: low bits `[4 subs][16 rows][4 columns]`, two bits for each of the sub-block's
//! four quads; third bits `[2 pairs][16 rows][4 columns]`, bit `4 s + i` that of quad i of
//! the pair's sub-block s; the scales' low four bits, `[16 rows] u16`, and their upper two,
//! `[16 rows] u8`, sub-block after sub-block from the lowest bit on.
//!
//! The products take `8 q`, of which the zero is the 32 that the rows' starts are made
//! with, and an eighth of d.
use super::scaled::{Pairs, Scaled};
use super::{
    PANEL_ROWS, PanelFormat, Scales, add_scaled, each, four, half_at, one, prefetch_all, put_four,
};
use crate::lhs::Tile;
use crate::simd::{LANES, Simd};

pub(crate) struct Q3K;

/// Where the parts of a packed group begin.
const THIRD: usize = 4 * QUAD;
const LOW_SCALES: usize = THIRD + 2 * QUAD;
const HIGH_SCALES: usize = LOW_SCALES + 2 * PANEL_ROWS;
/// Bytes of a group of four sub-blocks.
const GROUP: usize = HIGH_SCALES + PANEL_ROWS;
/// Where the halves begin, after four groups.
const D: usize = 4 * GROUP;
/// Bytes of four columns of all rows.
const QUAD: usize = 4 * PANEL_ROWS;

/// The stored numbers for a weight of 0 and for a scale of 0.
const ZERO: i16 = 4;
const SCALE_ZERO: i16 = 32;

/// `q` of four columns of a row from `c` on, from the file.
fn quants(row: &[u8], c: usize) -> u32 {
    // A byte holds the low bits of four weights of a half, or the third bits of eight.
    let low = four(row, 32 + c / 128 * 32 + c % 32) >> (c / 32 % 4 * 2) & each(3);
    let third = four(row, c % 32) >> (c / 32) & each(1);
    low | third << 2
}

/// Scale of sub-block `sub`, from the file.
fn scale(row: &[u8], sub: usize) -> u8 {
    let low = row[96 + sub % 8] >> (sub / 8 * 4) & 15;
    let high = row[104 + sub % 4] >> (sub / 4 * 2) & 3;
    low | high << 4
}

impl PanelFormat for Q3K {
    const SCALES: Scales = Scales::EachBlock256;
    const BLOCK_BYTES: usize = 110;
    const LARGEST: usize = 8 * 7;

    fn pack(rows: &[&[u8]; PANEL_ROWS], to: &mut [u8]) {
        let to = &mut to[..PANEL_ROWS * Self::BLOCK_BYTES];
        to.fill(0);
        for (r, row) in rows.iter().enumerate() {
            let row = &row[..Self::BLOCK_BYTES];
            to[D + 2 * r..D + 2 * r + 2].copy_from_slice(&row[108..110]);
            for sub in 0..16 {
                let (group, s) = (&mut to[sub / 4 * GROUP..][..GROUP], sub % 4);
                let scale = scale(row, sub);
                group[LOW_SCALES + 2 * r + s / 2] |= (scale & 15) << (s % 2 * 4);
                group[HIGH_SCALES + r] |= scale >> 4 << (2 * s);
                let (mut low, mut third) = (0, four(group, THIRD + s / 2 * QUAD + 4 * r));
                for quad in 0..4 {
                    let q = quants(row, 16 * sub + 4 * quad);
                    low |= (q & each(3)) << (2 * quad);
                    third |= (q >> 2 & each(1)) << (s % 2 * 4 + quad);
                }
                put_four(group, s * QUAD + 4 * r, low);
                put_four(group, THIRD + s / 2 * QUAD + 4 * r, third);
            }
        }
    }

    fn codes(block: &[u8], codes: &mut [i8], scales: &mut [(f32, f32)]) {
        for (c, code) in codes.iter_mut().enumerate() {
            *code = one(|c| quants(block, c), c) as i8 - ZERO as i8;
        }
        for (group, to) in scales.iter_mut().enumerate() {
            let scale = i16::from(scale(block, group)) - SCALE_ZERO;
            *to = (half_at(block, 108) * f32::from(scale), 0.0);
        }
    }

    fn weight(block: &[u8], row: usize, column: usize) -> f32 {
        let (sub, i) = (column / 16, column % 16);
        let (group, s) = (&block[sub / 4 * GROUP..][..GROUP], sub % 4);
        let (quad, lane) = (i / 4, 4 * row + i % 4);
        let low = group[s * QUAD + lane] >> (2 * quad) & 3;
        let third = group[THIRD + s / 2 * QUAD + lane] >> (s % 2 * 4 + quad) & 1;
        let q = i16::from(low | third << 2) - ZERO;
        let low = group[LOW_SCALES + 2 * row + s / 2] >> (s % 2 * 4) & 15;
        let high = group[HIGH_SCALES + row] >> (2 * s) & 3;
        let scale = i16::from(low | high << 4) - SCALE_ZERO;
        half_at(block, D + 2 * row) * f32::from(scale) * f32::from(q)
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
            let (nibble, upper) = (S::splat(15), S::splat(0x30));
            let scale_zero = S::splat_f(f32::from(SCALE_ZERO));
            for b in 0..n_blocks {
                let block = panel.add(b * Self::BLOCK_BYTES * PANEL_ROWS);
                prefetch_all::<S, ROWS>(block.add(D), 2 * PANEL_ROWS);
                let mut sums = [S::zero_f(); ROWS];
                for g in 0..4 {
                    let group = block.add(g * GROUP);
                    prefetch_all::<S, ROWS>(group, GROUP);
                    let at = b * 16 + g * 4;
                    let (q, starts) = (lhs.q.add(at * 16 * ROWS), lhs.starts.add(at * ROWS));
                    let low = S::widen_u16(group.add(LOW_SCALES));
                    let high = S::widen_i8(group.add(HIGH_SCALES));
                    let scale = |low: S::Int, high: S::Int| {
                        let scale = S::or(S::and(low, nibble), S::and(high, upper));
                        S::sub(S::to_float(scale), scale_zero)
                    };
                    let of = scale(low, S::shl::<4>(high));
                    add_sub::<S, ROWS, 0>(group, q, starts, of, &mut sums);
                    let of = scale(S::shr::<4>(low), S::shl::<2>(high));
                    add_sub::<S, ROWS, 1>(group, q, starts, of, &mut sums);
                    let of = scale(S::shr::<8>(low), high);
                    add_sub::<S, ROWS, 2>(group, q, starts, of, &mut sums);
                    let of = scale(S::shr::<12>(low), S::shr::<2>(high));
                    add_sub::<S, ROWS, 3>(group, q, starts, of, &mut sums);
                }
                let d = S::mul(S::load_half(block.add(D)), S::splat_f(0.125));
                for sum in &mut sums {
                    *sum = S::mul(*sum, d);
                }
                add_scaled::<S, ROWS>(sums, lhs.scales.add(b * ROWS), out);
            }
        }
    }
}

/// The bits of each quad of a sub-block at their place in `8 q`, among others.
struct SubBlock<S: Simd> {
    low: [S::Int; 4],
    third: [S::Int; 4],
}

impl<S: Simd> SubBlock<S> {
    /// # Safety
    /// As [`Pairs::pair`].
    #[inline(always)]
    unsafe fn quad(&self, quad: usize) -> S::Int {
        // SAFETY: the caller's promise.
        unsafe {
            let (low_place, third_place) = (S::splat(0x1818_1818), S::splat(0x2020_2020));
            let (low, third) = (self.low[quad], self.third[quad]);
            S::or(S::and(low, low_place), S::and(third, third_place))
        }
    }
}

impl<S: Simd> Pairs<S> for SubBlock<S> {
    #[inline(always)]
    unsafe fn pair(&self, pair: usize) -> [S::Int; 2] {
        // SAFETY: the caller's promise.
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
    scale: S::Float,
    sums: &mut [S::Float; ROWS],
) {
    // SAFETY: the caller's promises.
    unsafe {
        let low = S::load(group.add(SUB * QUAD));
        let third = S::load(group.add(THIRD + SUB / 2 * QUAD));
        let low = [
            S::shl::<3>(low),
            S::shl::<1>(low),
            S::shr::<1>(low),
            S::shr::<3>(low),
        ];
        let third = match SUB % 2 {
            0 => [
                S::shl::<5>(third),
                S::shl::<4>(third),
                S::shl::<3>(third),
                S::shl::<2>(third),
            ],
            _ => [
                S::shl::<1>(third),
                third,
                S::shr::<1>(third),
                S::shr::<2>(third),
            ],
        };
        let mut run = Scaled {
            weights: SubBlock::<S> { low, third },
            starts: starts.add(SUB * ROWS),
            scale,
            sums,
        };
        S::dots::<ROWS, 2>(&mut run, Q3K::LARGEST, q.add(SUB * 16 * ROWS));
    }
}
