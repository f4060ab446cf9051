//! Blocks of 256 weights whose scales are codes themselves.
use super::blocks32::IQ4;
use super::{half, nibble, u16_at};
use std::array::from_fn;

/// The `bits` bits of weight `i` where each run of `32 * 8 / bits` weights lies in 32
/// bytes: first the lowest bits of all of them.
fn code(bytes: &[u8], i: usize, bits: usize) -> u8 {
    let run = 32 * 8 / bits;
    let (byte, place) = (i / run * 32 + i % 32, i % run / 32);
    bytes[byte] >> (place * bits) & ((1 << bits) - 1)
}

pub(super) fn q2_k(b: &[u8; 84]) -> [f32; 256] {
    let (d, min) = (half(b, 80), half(b, 82));
    from_fn(|i| {
        let scale = b[i / 16];
        let (d, min) = (d * f32::from(scale & 15), min * f32::from(scale >> 4));
        d * f32::from(code(&b[16..80], i, 2)) - min
    })
}

pub(super) fn q3_k(b: &[u8; 110]) -> [f32; 256] {
    let d = half(b, 108);
    let scales: [f32; 16] = from_fn(|i| {
        let low = nibble(b[96 + i % 8], i / 8 * 4);
        let high = b[104 + i % 4] >> (i / 4 * 2) & 3;
        d * f32::from((low | high << 4) as i8 - 32)
    });
    from_fn(|i| {
        // The offset is of those whose bit is not set.
        let below = 4 * (code(b, i, 1) ^ 1) as i8;
        scales[i / 16] * f32::from(code(&b[32..96], i, 2) as i8 - below)
    })
}

/// Scale and minimum of the weights `32 i..32 (i + 1)` of Q4_K and Q5_K.
fn scale_and_min(bytes: &[u8], i: usize) -> (u8, u8) {
    match i {
        0..4 => (bytes[i] & 63, bytes[i + 4] & 63),
        _ => (
            bytes[i + 4] & 15 | bytes[i - 4] >> 2 & 0x30,
            bytes[i + 4] >> 4 | bytes[i] >> 2 & 0x30,
        ),
    }
}

pub(super) fn q4_k(b: &[u8; 144]) -> [f32; 256] {
    with_minima(b, |i| code(&b[16..], i, 4))
}

pub(super) fn q5_k(b: &[u8; 176]) -> [f32; 256] {
    with_minima(b, |i| code(&b[48..], i, 4) | code(&b[16..48], i, 1) << 4)
}

fn with_minima(b: &[u8], code: impl Fn(usize) -> u8) -> [f32; 256] {
    let (d, min) = (half(b, 0), half(b, 2));
    let scales: [(f32, f32); 8] = from_fn(|i| {
        let (scale, minimum) = scale_and_min(&b[4..16], i);
        (d * f32::from(scale), min * f32::from(minimum))
    });
    from_fn(|i| {
        let (d, min) = scales[i / 32];
        d * f32::from(code(i)) - min
    })
}

pub(super) fn q6_k(b: &[u8; 210]) -> [f32; 256] {
    let d = half(b, 208);
    from_fn(|i| {
        // Of each 128 weights the lower bits lie in 64 bytes, the upper in 32.
        let low = nibble(b[i / 128 * 64 + i % 64], i % 128 / 64 * 4);
        let code = low | code(&b[128..192], i, 2) << 4;
        d * f32::from(b[192 + i / 16] as i8) * f32::from(code as i8 - 32)
    })
}

/// Behind the codes are the sums of each sixteen, which products take.
pub(super) fn q8_k(b: &[u8; 292]) -> [f32; 256] {
    let d = f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
    from_fn(|i| d * f32::from(b[4 + i] as i8))
}

pub(super) fn iq4_xs(b: &[u8; 136]) -> [f32; 256] {
    let (d, high) = (half(b, 0), u16_at(b, 2));
    let scales: [f32; 8] = from_fn(|i| {
        let low = nibble(b[4 + i / 2], i % 2 * 4);
        let scale = low | ((high >> (2 * i) & 3) as u8) << 4;
        d * f32::from(scale as i8 - 32)
    });
    from_fn(|i| {
        let code = nibble(b[8 + i / 32 * 16 + i % 16], i % 32 / 16 * 4);
        scales[i / 32] * f32::from(IQ4[usize::from(code)])
    })
}
