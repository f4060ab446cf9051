//! Floats that become f32 as they are loaded, which every number of them does exactly.
use crate::simd::Simd;

/// A format of floats narrower than f32.
pub(super) trait Element: 'static {
    /// Bytes of a number.
    const BYTES: usize;
    /// True where a number is only worth something with its block's scale.
    const IS_SCALED: bool;
    /// True for numbers in memory that will not be read again soon, which is asked for ahead.
    const IS_FAR: bool = true;

    /// The number of `BYTES` bytes, without a scale.
    fn widen(bytes: &[u8]) -> f32;

    /// Sixteen numbers: those of [`Element::widen`], over 256 where they are scaled.
    ///
    /// # Safety
    /// The processor has what `S` stands for; the bytes are there.
    unsafe fn load<S: Simd>(from: *const u8) -> S::Float;
}

/// Numbers one behind the other, without scales.
pub(super) fn widen<E: Element>(bytes: &[u8], out: &mut [f32]) {
    for (bytes, out) in bytes.chunks_exact(E::BYTES).zip(out) {
        *out = E::widen(bytes);
    }
}

pub(super) struct Bf16;

impl Element for Bf16 {
    const BYTES: usize = 2;
    const IS_SCALED: bool = false;

    fn widen(bytes: &[u8]) -> f32 {
        half::bf16::from_le_bytes([bytes[0], bytes[1]]).to_f32()
    }

    #[inline(always)]
    unsafe fn load<S: Simd>(from: *const u8) -> S::Float {
        // SAFETY: the caller's promises.
        unsafe { S::load_bf16(from) }
    }
}

pub(super) struct F16;

impl Element for F16 {
    const BYTES: usize = 2;
    const IS_SCALED: bool = false;

    fn widen(bytes: &[u8]) -> f32 {
        half::f16::from_le_bytes([bytes[0], bytes[1]]).to_f32()
    }

    #[inline(always)]
    unsafe fn load<S: Simd>(from: *const u8) -> S::Float {
        // SAFETY: the caller's promises.
        unsafe { S::load_half(from) }
    }
}

/// Scaled numbers that were widened for several tiles.
pub(super) struct F32;

impl Element for F32 {
    const BYTES: usize = 4;
    const IS_SCALED: bool = false;
    const IS_FAR: bool = false;

    fn widen(bytes: &[u8]) -> f32 {
        f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    }

    #[inline(always)]
    unsafe fn load<S: Simd>(from: *const u8) -> S::Float {
        // SAFETY: the caller's promises.
        unsafe { S::load_f(from.cast()) }
    }
}
