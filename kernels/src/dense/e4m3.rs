//! E4M3 numbers with a scale for each block of rows and columns, as FP8 checkpoints have
//! them (DeepSeek-V3, arXiv 2412.19437, section 3.3).
use super::element::Element;
use crate::simd::{Simd, e4m3};

/// Eight bits: sign, four of exponent, three of mantissa (arXiv 2209.05433).
pub(super) struct E4m3;

impl Element for E4m3 {
    const BYTES: usize = 1;
    const IS_SCALED: bool = true;

    fn widen(bytes: &[u8]) -> f32 {
        e4m3(bytes[0])
    }

    #[inline(always)]
    unsafe fn load<S: Simd>(from: *const u8) -> S::Float {
        // SAFETY: the caller's promises.
        unsafe { S::load_e4m3_over_256(from) }
    }
}

/// The scales of a matrix `[n, k]`: one for each block of columns in each block of rows.
pub struct BlockScales {
    k: usize,
    block_columns: usize,
    /// `[blocks of rows, blocks of columns]`, 256 times what each is, since numbers are
    /// loaded as their 256th part.
    scales: Vec<f32>,
    /// The block of rows that each row of the matrix is in, `[n]`.
    block_of_row: Vec<u32>,
}

impl BlockScales {
    /// `scales` is `[blocks of rows, blocks of columns]`, where a block has `block_columns`
    /// columns, the last one fewer if `k` is no multiple; `block_of_row` names the block of
    /// rows of each row, `[n]`. Panics unless all blocks are there.
    pub fn new(k: usize, block_columns: usize, scales: Vec<f32>, block_of_row: Vec<u32>) -> Self {
        assert!(block_columns > 0, "blocks of no columns");
        let of_columns = k.div_ceil(block_columns);
        let last = block_of_row.iter().copied().max().unwrap_or(0) as usize;
        assert!(
            scales.len() >= (last + 1) * of_columns,
            "{} scales for block of rows {last} of {of_columns} each",
            scales.len()
        );
        Self {
            k,
            block_columns,
            scales: scales.into_iter().map(|scale| 256.0 * scale).collect(),
            block_of_row,
        }
    }

    /// Rows and columns of their matrix.
    pub(super) fn dims(&self) -> (usize, usize) {
        (self.block_of_row.len(), self.k)
    }

    /// Columns that share a scale.
    pub(super) fn block_columns(&self) -> usize {
        self.block_columns
    }

    /// 256 times the scales of row `row`, a block of columns after the other.
    pub(super) fn of_row(&self, row: usize) -> &[f32] {
        let n = self.k.div_ceil(self.block_columns);
        &self.scales[self.block_of_row[row] as usize * n..][..n]
    }

    /// The numbers of row `row` times their scales, rounded once.
    pub(super) fn widen(&self, row: usize, bytes: &[u8], out: &mut [f32]) {
        let blocks = bytes.chunks(self.block_columns);
        let out = out.chunks_mut(self.block_columns);
        for ((bytes, out), scale) in blocks.zip(out).zip(self.of_row(row)) {
            for (&byte, out) in bytes.iter().zip(out) {
                *out = e4m3(byte) / 256.0 * scale;
            }
        }
    }
}
