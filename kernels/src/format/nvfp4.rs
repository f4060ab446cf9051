//! NVFP4: `scale / 2 * value[q]`, q of 4 bits, a scale of E4M3 without a sign for each 16
//! weights. The values are E2M1's times 2, hence the half.
//!
//! A file's blocks of 64 are four to a block here. A packed block of 16 rows: the scales
//! `[16 groups][16 rows] u8`, then eight sub-blocks of nibbles as in [`blocks256`].
use super::blocks256::{self, SUB_NIBBLES};
use super::scaled::{Pairs, Scaled};
use super::{PANEL_ROWS, PanelFormat, Scales, add_scaled, each, four, one, prefetch_all, table};
use crate::ggml::ue4m3_half;
use crate::lhs::Tile;
use crate::simd::{LANES, Simd};

pub(crate) struct Nvfp4;

/// Groups of 16 weights of a block.
const GROUPS: usize = 16;
/// Where the quants begin.
const QUANTS: usize = GROUPS * PANEL_ROWS;

/// Weights, groups and bytes of a block in the file.
const FILE_BLOCK: usize = 64;
const FILE_GROUPS: usize = 4;
const FILE_BYTES: usize = 36;

const TABLE: [u8; 64] = table::table(table::E2M1_TWICE, ZERO);
/// The stored number for a value of 0.
const ZERO: i32 = 32;

/// The scale of group `group` of a row, from the file.
fn scale(row: &[u8], group: usize) -> u8 {
    row[group / FILE_GROUPS * FILE_BYTES + group % FILE_GROUPS]
}

/// Indices of four columns of a row from `c` on, from the file: a group's bytes hold columns
/// i and i + 8.
fn quants(row: &[u8], c: usize) -> u32 {
    let (group, i) = (c % FILE_BLOCK / 16, c % 16);
    let codes = c / FILE_BLOCK * FILE_BYTES + FILE_GROUPS;
    four(row, codes + 8 * group + i % 8) >> (i / 8 * 4) & each(15)
}

/// A scale byte that is loaded as E4M3 to what [`ue4m3_half`] gives for it: without a sign,
/// and 0 where it is no number. (With a sign "no number" is one there; no file has it.)
fn plain(scale: u8) -> u8 {
    match scale & 0x7f {
        0x7f => 0,
        scale => scale,
    }
}

impl PanelFormat for Nvfp4 {
    const SCALES: Scales = Scales::EachBlock256;
    const BLOCK_BYTES: usize = 256 / FILE_BLOCK * FILE_BYTES;
    const LARGEST: usize = table::largest(table::E2M1_TWICE, ZERO);

    fn pack(rows: &[&[u8]; PANEL_ROWS], to: &mut [u8]) {
        let to = &mut to[..PANEL_ROWS * Self::BLOCK_BYTES];
        for (r, row) in rows.iter().enumerate() {
            let row = &row[..Self::BLOCK_BYTES];
            for group in 0..GROUPS {
                to[group * PANEL_ROWS + r] = plain(scale(row, group));
            }
            for (sub, to) in to[QUANTS..].chunks_exact_mut(SUB_NIBBLES).enumerate() {
                blocks256::pack_nibbles(r, |c| quants(row, 32 * sub + c), to);
            }
        }
    }

    fn codes(block: &[u8], codes: &mut [i8], scales: &mut [(f32, f32)]) {
        for (c, code) in codes.iter_mut().enumerate() {
            *code = table::E2M1_TWICE[usize::from(one(|c| quants(block, c), c))];
        }
        for (group, to) in scales.iter_mut().enumerate() {
            *to = (ue4m3_half(scale(block, group)), 0.0);
        }
    }

    fn weight(block: &[u8], row: usize, column: usize) -> f32 {
        let quants = &block[QUANTS + column / 32 * SUB_NIBBLES..][..SUB_NIBBLES];
        let index = blocks256::nibble(quants, row, column % 32);
        let scale = block[column / 16 * PANEL_ROWS + row];
        ue4m3_half(scale) * f32::from(table::E2M1_TWICE[usize::from(index)])
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
            let table = S::load(TABLE.as_ptr());
            // Scales are loaded as their 256th part, and halved.
            let rest = S::splat_f(128.0);
            for b in 0..n_blocks {
                let block = panel.add(b * Self::BLOCK_BYTES * PANEL_ROWS);
                prefetch_all::<S, ROWS>(block, QUANTS);
                let mut sums = [S::zero_f(); ROWS];
                for group in 0..GROUPS {
                    let at = b * GROUPS + group;
                    let (q, starts) = (lhs.q.add(at * 16 * ROWS), lhs.starts.add(at * ROWS));
                    // A group is half a sub-block.
                    let sub = block.add(QUANTS + group / 2 * SUB_NIBBLES);
                    if group % 2 == 0 {
                        prefetch_all::<S, ROWS>(sub, SUB_NIBBLES);
                    }
                    let mut run = Scaled {
                        weights: Group::<S> {
                            sub,
                            first: group % 2 * 2,
                            table,
                        },
                        starts,
                        scale: S::load_e4m3_over_256(block.add(group * PANEL_ROWS)),
                        sums: &mut sums,
                    };
                    S::dots::<ROWS, 2>(&mut run, Self::LARGEST, q);
                }
                for sum in &mut sums {
                    *sum = S::mul(*sum, rest);
                }
                add_scaled::<S, ROWS>(sums, lhs.scales.add(b * ROWS), out);
            }
        }
    }
}

/// The values of a group of 16.
struct Group<S: Simd> {
    /// Its sub-block.
    sub: *const u8,
    /// Its first pair there.
    first: usize,
    table: S::Int,
}

impl<S: Simd> Pairs<S> for Group<S> {
    #[inline(always)]
    unsafe fn pair(&self, pair: usize) -> [S::Int; 2] {
        // SAFETY: the caller's promises.
        unsafe {
            let [first, second] = blocks256::nibbles::<S>(self.sub, self.first + pair);
            [S::lookup(self.table, first), S::lookup(self.table, second)]
        }
    }
}
