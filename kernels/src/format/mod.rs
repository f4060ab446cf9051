//! How quantised weights lie in memory: the formats of GGUF, rows interleaved.
//!
//! Sixteen rows (output columns of the product) make a panel, a lane of a vector
//! each; a panel is a row of blocks along `k`. Every format keeps the bits that
//! the file gives it, in another order: a packed matrix is as large as the file's.
//!
//! Source of the formats: ggml's `ggml-common.h` (`block_q4_K` and so on).
mod blocks32;
mod q4_k;
mod q5_0;
mod q6_k;
mod q8_0;

pub(crate) use q4_k::Q4K;
pub(crate) use q5_0::Q50;
pub(crate) use q6_k::Q6K;
pub(crate) use q8_0::Q80;

use crate::lhs::Tile;
use crate::simd::{LANES, Simd};

/// Rows of a panel.
pub const PANEL_ROWS: usize = LANES;

/// A quantised format of GGUF that the kernels run at its own width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// 4 bits, a 6-bit scale and minimum for each 32, two halves for each 256: 4.5 bits a weight.
    Q4K,
    /// 5 bits, a half for each 32: 5.5 bits.
    Q5_0,
    /// 6 bits, an 8-bit scale for each 16, a half for each 256: 6.5625 bits.
    Q6K,
    /// 8 bits, a half for each 32: 8.5 bits.
    Q8_0,
}

/// How finely the left side of a product is scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scales {
    /// One for each 32 values.
    EachBlock32,
    /// One for each 256 values.
    EachBlock256,
}

impl Scales {
    /// Values that share a scale.
    pub fn block(self) -> usize {
        match self {
            Self::EachBlock32 => 32,
            Self::EachBlock256 => 256,
        }
    }

    /// Values of a dot product in whole numbers: weights that share a scale.
    pub(crate) fn run(self) -> usize {
        match self {
            Self::EachBlock32 => 32,
            Self::EachBlock256 => 16,
        }
    }

    /// What formats with such rows store for a weight of 0, or a part of it.
    pub(crate) fn zero(self) -> i32 {
        match self {
            Self::EachBlock32 => 16,
            Self::EachBlock256 => 32,
        }
    }
}

impl Format {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Q4K, Self::Q5_0, Self::Q6K, Self::Q8_0];

    /// Weights of a block.
    pub fn block(self) -> usize {
        self.scales().block()
    }

    /// Bytes of a block of one row.
    pub fn block_bytes(self) -> usize {
        match self {
            Self::Q4K => Q4K::BLOCK_BYTES,
            Self::Q5_0 => Q50::BLOCK_BYTES,
            Self::Q6K => Q6K::BLOCK_BYTES,
            Self::Q8_0 => Q80::BLOCK_BYTES,
        }
    }

    /// How the left side of a product has to be scaled: as ggml pairs them.
    pub fn scales(self) -> Scales {
        match self {
            Self::Q4K | Self::Q6K => Scales::EachBlock256,
            Self::Q5_0 | Self::Q8_0 => Scales::EachBlock32,
        }
    }
}

/// A format's layout and its product.
pub(crate) trait PanelFormat: 'static {
    /// Weights of a block.
    const BLOCK: usize;
    /// Bytes of a block of one row, in the file as in a panel.
    const BLOCK_BYTES: usize;

    /// Lays out one block of 16 rows; `rows` are theirs as in the file.
    fn pack(rows: &[&[u8]; PANEL_ROWS], to: &mut [u8]);

    /// The codes of a block of a row in the file, `[BLOCK]`, and what each 16 of them are
    /// worth: `scale * code - minimum`.
    fn codes(block: &[u8], codes: &mut [i8], scales: &mut [(f32, f32)]);

    /// Weight `column` of row `row` of a packed block.
    fn weight(block: &[u8], row: usize, column: usize) -> f32;

    /// The products of a panel with the rows of a tile, added to `out`.
    ///
    /// # Safety
    /// The processor has what `S` stands for; `panel` holds `n_blocks` packed
    /// blocks, `lhs` as many of `ROWS` rows, scaled as the format asks for.
    unsafe fn multiply<S: Simd, const ROWS: usize>(
        panel: *const u8,
        n_blocks: usize,
        lhs: Tile,
        out: &mut [[f32; LANES]; ROWS],
    );
}

/// How far ahead of the weights in hand memory is asked for, bytes. Measured over 400
/// MB of weights on two Sapphire Rapids cores that read 24 GB/s: from a page ahead on
/// nothing more is gained; at 256 bytes one row goes at 15 GB/s, at a page at 21.
const AHEAD: usize = 4096;

/// Rows from which on lines are asked for into the first-level cache. With fewer,
/// memory is the limit: there the second level's queue is longer than the first
/// level's dozen line buffers (one row: 21.5 against 19 GB/s). With more, the products
/// are, and its latency shows (twelve rows of Q4_K: 298 against 230 GMAC/s).
const FIRST_LEVEL_ROWS: usize = 8;

/// Asks for the weights that will be wanted when the `bytes` at `at` are done.
///
/// # Safety
/// The processor has what `S` stands for.
#[inline(always)]
unsafe fn prefetch_all<S: Simd, const ROWS: usize>(at: *const u8, bytes: usize) {
    for line in (0..bytes).step_by(64) {
        let line = at.wrapping_add(AHEAD + line);
        // SAFETY: a prefetch of any address is harmless.
        unsafe {
            match ROWS >= FIRST_LEVEL_ROWS {
                true => S::prefetch(line),
                false => S::prefetch_l2(line),
            }
        }
    }
}

/// Adds a block's sums to `out`, each row's times its scale at `scales`.
///
/// # Safety
/// The processor has what `S` stands for; `ROWS` scales are there.
#[inline(always)]
unsafe fn add_scaled<S: Simd, const ROWS: usize>(
    sums: [S::Float; ROWS],
    scales: *const f32,
    out: &mut [[f32; LANES]; ROWS],
) {
    for (r, (sum, out)) in sums.into_iter().zip(out).enumerate() {
        let to = out.as_mut_ptr();
        // SAFETY: the caller's promises; a row of `out` is a vector.
        unsafe {
            let scale = S::splat_f(*scales.add(r));
            S::store_f(to, S::mul_add(sum, scale, S::load_f(to)));
        }
    }
}

/// A half in the file, at `at` of `bytes`.
fn half_at(bytes: &[u8], at: usize) -> f32 {
    half::f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
}
