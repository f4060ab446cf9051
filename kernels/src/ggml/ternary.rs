//! Weights of few values times one scale.
use super::half;
use std::array::from_fn;

/// A bit a weight: the scale or its opposite.
pub(super) fn q1_0(b: &[u8; 18]) -> [f32; 128] {
    let d = half(b, 0);
    from_fn(|i| {
        if b[2 + i / 8] >> (i % 8) & 1 == 1 {
            d
        } else {
            -d
        }
    })
}

/// Two bits a weight, four neighbours in a byte.
pub(super) fn q2_0(b: &[u8; 18]) -> [f32; 64] {
    let d = half(b, 0);
    from_fn(|i| d * f32::from((b[2 + i / 4] >> (i % 4 * 2) & 3) as i8 - 1))
}

/// Five ternary digits a byte, as the fraction that a byte is of 256.
pub(super) fn tq1_0(b: &[u8; 54]) -> [f32; 256] {
    const POWERS: [u8; 5] = [1, 3, 9, 27, 81];
    let d = half(b, 52);
    from_fn(|i| {
        let (byte, power) = match i {
            0..160 => (b[i % 32], i / 32),
            160..240 => (b[32 + i % 16], (i - 160) / 16),
            _ => (b[48 + i % 4], (i - 240) / 4),
        };
        let rest = byte.wrapping_mul(POWERS[power]);
        let digit = ((u16::from(rest) * 3) >> 8) as i8;
        d * f32::from(digit - 1)
    })
}

pub(super) fn tq2_0(b: &[u8; 66]) -> [f32; 256] {
    let d = half(b, 64);
    from_fn(|i| d * f32::from((b[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3) as i8 - 1))
}
