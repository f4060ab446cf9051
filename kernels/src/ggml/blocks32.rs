//! Blocks of 32 weights, or a few such: codes of 4, 5 or 8 bits and one scale.
use super::{half, nibble, u32_at};
use std::array::from_fn;

/// The 4-bit codes of sixteen bytes: all lower halves, then all upper ones.
fn codes(bytes: &[u8], i: usize) -> u8 {
    nibble(bytes[i % 16], i / 16 * 4)
}

pub(super) fn q4_0(b: &[u8; 18]) -> [f32; 32] {
    let d = half(b, 0);
    from_fn(|i| d * f32::from(codes(&b[2..], i) as i8 - 8))
}

pub(super) fn q4_1(b: &[u8; 20]) -> [f32; 32] {
    let (d, m) = (half(b, 0), half(b, 2));
    from_fn(|i| d * f32::from(codes(&b[4..], i)) + m)
}

pub(super) fn q5_0(b: &[u8; 22]) -> [f32; 32] {
    let (d, high) = (half(b, 0), u32_at(b, 2));
    let code = |i| codes(&b[6..], i) | ((high >> i & 1) as u8) << 4;
    from_fn(|i| d * f32::from(code(i) as i8 - 16))
}

pub(super) fn q5_1(b: &[u8; 24]) -> [f32; 32] {
    let (d, m, high) = (half(b, 0), half(b, 2), u32_at(b, 4));
    let code = |i| codes(&b[8..], i) | ((high >> i & 1) as u8) << 4;
    from_fn(|i| d * f32::from(code(i)) + m)
}

pub(super) fn q8_0(b: &[u8; 34]) -> [f32; 32] {
    let d = half(b, 0);
    from_fn(|i| f32::from(b[2 + i] as i8) * d)
}

/// Behind the scale is the codes' sum times it, which products take.
pub(super) fn q8_1(b: &[u8; 36]) -> [f32; 32] {
    let d = half(b, 0);
    from_fn(|i| f32::from(b[4 + i] as i8) * d)
}

/// The values of 4-bit codes in the IQ4 formats.
pub(super) const IQ4: [i8; 16] = [
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
];

pub(super) fn iq4_nl(b: &[u8; 18]) -> [f32; 32] {
    let d = half(b, 0);
    from_fn(|i| d * f32::from(IQ4[usize::from(codes(&b[2..], i))]))
}

/// The values of E2M1, doubled (OCP Microscaling Formats v1.0, table 5). Zero has one
/// sign, as in gguf-py.
const E2M1: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/// Half of two to the power of `byte - 127`.
pub(crate) fn e8m0_half(byte: u8) -> f32 {
    f32::from_bits(match byte {
        0 | 1 => 0x0020_0000 << byte,
        _ => u32::from(byte - 1) << 23,
    })
}

pub(super) fn mxfp4(b: &[u8; 17]) -> [f32; 32] {
    let d = e8m0_half(b[0]);
    from_fn(|i| d * f32::from(E2M1[usize::from(codes(&b[1..], i))]))
}

/// Half of a number of unsigned E4M3; the codes of zero and of "no number" are 0.
pub(crate) fn ue4m3_half(byte: u8) -> f32 {
    let (exponent, mantissa) = (i32::from(byte >> 3 & 15), f32::from(byte & 7));
    let whole = match (byte, exponent) {
        (0 | 0x7f, _) => 0.0,
        (_, 0) => mantissa * 2f32.powi(-9),
        _ => (1.0 + mantissa / 8.0) * 2f32.powi(exponent - 7),
    };
    whole * 0.5
}

/// Four scales, then the codes of sixteen weights behind each other.
pub(super) fn nvfp4(b: &[u8; 36]) -> [f32; 64] {
    from_fn(|i| {
        let (group, i) = (i / 16, i % 16);
        let code = nibble(b[4 + 8 * group + i % 8], i / 8 * 4);
        ue4m3_half(b[group]) * f32::from(E2M1[usize::from(code)])
    })
}
