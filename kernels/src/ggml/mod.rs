//! Every type of tensor that a GGUF file may have, and what its numbers are.
//!
//! Each type's numbers are those of `gguf-py` (its `quants.py`), bit for bit: the same
//! f32 operations in the same order. This is the reference; [`crate::PackedMatrix`] has
//! the types that are multiplied at their own width.
mod block_matrix;
mod blocks32;
mod grids;
mod k_blocks;
mod kind;
mod pairs;
mod plain;
mod signs;
mod ternary;
mod vectors;

pub use block_matrix::BlockMatrix;
pub(crate) use blocks32::ue4m3_half;
pub use kind::GgmlType;

use GgmlType as T;

impl GgmlType {
    /// The numbers of some blocks: `[out.len()]`.
    ///
    /// Panics unless `bytes` are whole blocks and `out` is as long as they hold numbers.
    pub fn dequantize(self, bytes: &[u8], out: &mut [f32]) {
        let n_blocks = out.len() / self.block();
        assert!(
            out.len().is_multiple_of(self.block()) && bytes.len() == n_blocks * self.block_bytes(),
            "{} bytes for {} numbers of {}",
            bytes.len(),
            out.len(),
            self.name()
        );
        match self {
            T::F32 => each(bytes, out, plain::f32),
            T::F16 => each(bytes, out, plain::f16),
            T::BF16 => each(bytes, out, plain::bf16),
            T::F64 => each(bytes, out, plain::f64),
            T::I8 => each(bytes, out, plain::i8),
            T::I16 => each(bytes, out, plain::i16),
            T::I32 => each(bytes, out, plain::i32),
            T::I64 => each(bytes, out, plain::i64),
            T::Q1_0 => each(bytes, out, ternary::q1_0),
            T::Q2_0 => each(bytes, out, ternary::q2_0),
            T::Q4_0 => each(bytes, out, blocks32::q4_0),
            T::Q4_1 => each(bytes, out, blocks32::q4_1),
            T::Q5_0 => each(bytes, out, blocks32::q5_0),
            T::Q5_1 => each(bytes, out, blocks32::q5_1),
            T::Q8_0 => each(bytes, out, blocks32::q8_0),
            T::Q8_1 => each(bytes, out, blocks32::q8_1),
            T::IQ4_NL => each(bytes, out, blocks32::iq4_nl),
            T::MXFP4 => each(bytes, out, blocks32::mxfp4),
            T::NVFP4 => each(bytes, out, blocks32::nvfp4),
            T::Q2_K => each(bytes, out, k_blocks::q2_k),
            T::Q3_K => each(bytes, out, k_blocks::q3_k),
            T::Q4_K => each(bytes, out, k_blocks::q4_k),
            T::Q5_K => each(bytes, out, k_blocks::q5_k),
            T::Q6_K => each(bytes, out, k_blocks::q6_k),
            T::Q8_K => each(bytes, out, k_blocks::q8_k),
            T::IQ4_XS => each(bytes, out, k_blocks::iq4_xs),
            T::TQ1_0 => each(bytes, out, ternary::tq1_0),
            T::TQ2_0 => each(bytes, out, ternary::tq2_0),
            T::IQ1_S => each(bytes, out, vectors::iq1_s),
            T::IQ1_M => each(bytes, out, vectors::iq1_m),
            T::IQ2_XXS => each(bytes, out, vectors::iq2_xxs),
            T::IQ2_XS => each(bytes, out, vectors::iq2_xs),
            T::IQ2_S => each(bytes, out, vectors::iq2_s),
            T::IQ3_XXS => each(bytes, out, vectors::iq3_xxs),
            T::IQ3_S => each(bytes, out, vectors::iq3_s),
        }
    }
}

/// Each block of `BYTES` bytes as `N` numbers.
fn each<const BYTES: usize, const N: usize>(
    bytes: &[u8],
    out: &mut [f32],
    block: impl Fn(&[u8; BYTES]) -> [f32; N],
) {
    let (blocks, numbers) = (bytes.as_chunks().0, out.as_chunks_mut().0);
    assert_eq!(
        blocks.len(),
        numbers.len(),
        "blocks of {BYTES} bytes and {N} numbers"
    );
    for (from, to) in blocks.iter().zip(numbers) {
        *to = block(from);
    }
}

/// A half at `at` of a block.
fn half(block: &[u8], at: usize) -> f32 {
    half::f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// A 16-bit number at `at` of a block.
fn u16_at(block: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([block[at], block[at + 1]])
}

/// A 32-bit number at `at` of a block.
fn u32_at(block: &[u8], at: usize) -> u32 {
    u32::from(u16_at(block, at)) | u32::from(u16_at(block, at + 2)) << 16
}

/// Bits `at..at + 4` of a byte.
fn nibble(byte: u8, at: usize) -> u8 {
    byte >> at & 15
}
