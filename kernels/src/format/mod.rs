//! How quantised weights lie in memory: the formats of GGUF, rows interleaved.
//!
//! Sixteen rows (output columns of the product) make a panel, a lane of a vector
//! each; a panel is a row of blocks along `k`. Every format keeps the bits that
//! the file gives it, in another order: a packed matrix is as large as the file's.
//!
//! Source of the formats: ggml's `ggml-common.h` (`block_q4_K` and so on).
mod blocks256;
mod blocks32;
mod iq4_nl;
mod iq4_xs;
mod mxfp4;
mod nvfp4;
mod q3_k;
mod q4_k;
mod q5_0;
mod q5_k;
mod q6_k;
mod q8_0;
mod scaled;
mod table;

pub(crate) use iq4_nl::Iq4Nl;
pub(crate) use iq4_xs::Iq4Xs;
pub(crate) use mxfp4::Mxfp4;
pub(crate) use nvfp4::Nvfp4;
pub(crate) use q3_k::Q3K;
pub(crate) use q4_k::Q4K;
pub(crate) use q5_0::Q50;
pub(crate) use q5_k::Q5K;
pub(crate) use q6_k::Q6K;
pub(crate) use q8_0::Q80;

use crate::lhs::Tile;
use crate::scales::Scales;
use crate::simd::{LANES, Simd};

/// Rows of a panel.
pub const PANEL_ROWS: usize = LANES;

/// Declares the formats once: the enum and the list of all. Their layouts are named by
/// [`with_layout`], where the compiler misses one that is left out.
macro_rules! formats {
    ($($(#[$doc:meta])* $format:ident,)*) => {
        /// A quantised format of GGUF that the kernels run at its own width.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Format {
            $($(#[$doc])* $format,)*
        }

        impl Format {
            /// Every one.
            pub const ALL: [Self; [$(stringify!($format)),*].len()] = [$(Self::$format),*];
        }
    };
}

formats! {
    /// 3 bits, a 6-bit scale for each 16, a half for each 256: 3.4375 bits a weight.
    Q3K,
    /// 4 bits, a 6-bit scale and minimum for each 32, two halves for each 256: 4.5 bits.
    Q4K,
    /// 5 bits, a half for each 32: 5.5 bits.
    Q5_0,
    /// 5 bits, a 6-bit scale and minimum for each 32, two halves for each 256: 5.5 bits.
    Q5K,
    /// 6 bits, an 8-bit scale for each 16, a half for each 256: 6.5625 bits.
    Q6K,
    /// 8 bits, a half for each 32: 8.5 bits.
    Q8_0,
    /// 4 bits by a table, a half for each 32: 4.5 bits.
    Iq4Nl,
    /// 4 bits by a table, a 6-bit scale for each 32, a half for each 256: 4.25 bits.
    Iq4Xs,
    /// 4 bits by a table, a power of 2 for each 32: 4.25 bits.
    Mxfp4,
    /// 4 bits by a table, 8 bits of a float for each 16: 4.5 bits.
    Nvfp4,
}

/// Evaluates `$body` with the type `$layout`, which is the layout of the format `$format`.
macro_rules! with_layout {
    ($format:expr, $layout:ident => $body:expr) => {{
        macro_rules! with {
            ($of:ident) => {{
                type $layout = crate::format::$of;
                $body
            }};
        }
        match $format {
            crate::format::Format::Q3K => with!(Q3K),
            crate::format::Format::Q4K => with!(Q4K),
            crate::format::Format::Q5_0 => with!(Q50),
            crate::format::Format::Q5K => with!(Q5K),
            crate::format::Format::Q6K => with!(Q6K),
            crate::format::Format::Q8_0 => with!(Q80),
            crate::format::Format::Iq4Nl => with!(Iq4Nl),
            crate::format::Format::Iq4Xs => with!(Iq4Xs),
            crate::format::Format::Mxfp4 => with!(Mxfp4),
            crate::format::Format::Nvfp4 => with!(Nvfp4),
        }
    }};
}
pub(crate) use with_layout;

impl Format {
    /// Its name in files of packed weights.
    pub fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    /// The format of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// Weights of a block.
    pub fn block(self) -> usize {
        self.scales().block()
    }

    /// Bytes of a block of one row.
    pub fn block_bytes(self) -> usize {
        with_layout!(self, F => F::BLOCK_BYTES)
    }

    /// How the left side of a product has to be scaled: as ggml pairs them, but for NVFP4,
    /// which it scales for each 32.
    pub fn scales(self) -> Scales {
        with_layout!(self, F => F::SCALES)
    }
}

/// A format's layout and its product.
pub(crate) trait PanelFormat: 'static {
    /// How the left side of a product is scaled: for as many values as a block has weights.
    const SCALES: Scales;
    /// Weights of a block.
    const BLOCK: usize = Self::SCALES.block();
    /// Bytes of a block of one row, in the file as in a panel.
    const BLOCK_BYTES: usize;
    /// The largest number that the products take for a weight.
    const LARGEST: usize;

    /// Lays out one block of 16 rows; `rows` are theirs as in the file. (A row is cut to the
    /// length that it has, so that the compiler knows it: packing Q4_K is 2.5 times as fast.)
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

/// Four bytes from `at` on as one number: what they hold of four neighbouring columns is
/// taken out of all of them at once.
#[inline(always)]
fn four(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*bytes[at..].first_chunk().expect("columns go by fours"))
}

/// Eight bytes from `at` on as one number.
#[inline(always)]
fn eight(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("columns go by eights"))
}

/// Lays four bytes down from `at` on.
#[inline(always)]
fn put_four(to: &mut [u8], at: usize, four: u32) {
    to[at..at + 4].copy_from_slice(&four.to_le_bytes());
}

/// Four times the byte `mask`.
const fn each(mask: u8) -> u32 {
    mask as u32 * 0x0101_0101
}

/// Four bytes twice.
const fn twice(four: u32) -> u64 {
    four as u64 * 0x0000_0001_0000_0001
}

/// The byte of column `c`, where `four_of` gives those of four columns from a multiple of
/// four on.
fn one(four_of: impl Fn(usize) -> u32, c: usize) -> u8 {
    four_of(c / 4 * 4).to_le_bytes()[c % 4]
}

/// A half in the file, at `at` of `bytes`.
fn half_at(bytes: &[u8], at: usize) -> f32 {
    half::f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
}
