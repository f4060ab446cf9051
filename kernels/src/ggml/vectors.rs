//! The IQ formats of codebooks: a code for each four or eight weights, and their signs.
use super::grids;
use super::signs::{even, sign};
use super::{half, nibble, u16_at, u32_at};
use std::array::from_fn;

/// What IQ1's weights are moved by.
const DELTA: f32 = 0.125;

pub(super) fn iq2_xxs(b: &[u8; 66]) -> [f32; 256] {
    let d = half(b, 0);
    from_fn(|i| {
        let (group, eight) = (2 + i / 32 * 8, i % 32 / 8);
        let signs = u32_at(b, group + 4);
        let db = d * (0.5 + (signs >> 28) as f32) * 0.25;
        let code = usize::from(b[group + eight]);
        let value = f32::from(grids::IQ2_XXS[code][i % 8]);
        db * value * sign(even(signs >> (7 * eight)), i % 8)
    })
}

pub(super) fn iq2_xs(b: &[u8; 74]) -> [f32; 256] {
    let d = half(b, 0);
    from_fn(|i| {
        let code = u16_at(b, 2 + i / 8 * 2);
        let db = d * (0.5 + f32::from(nibble(b[66 + i / 32], i % 32 / 16 * 4))) * 0.25;
        let value = f32::from(grids::IQ2_XS[usize::from(code & 511)][i % 8]);
        db * value * sign(even(u32::from(code >> 9)), i % 8)
    })
}

pub(super) fn iq2_s(b: &[u8; 82]) -> [f32; 256] {
    let d = half(b, 0);
    from_fn(|i| {
        let eight = i / 8;
        let high = b[66 + eight / 4] >> (eight % 4 * 2) & 3;
        let code = usize::from(b[2 + eight]) | usize::from(high) << 8;
        let db = d * (0.5 + f32::from(nibble(b[74 + i / 32], i % 32 / 16 * 4))) * 0.25;
        db * f32::from(grids::IQ2_S[code][i % 8]) * sign(b[34 + eight], i % 8)
    })
}

pub(super) fn iq3_xxs(b: &[u8; 98]) -> [f32; 256] {
    let d = half(b, 0);
    from_fn(|i| {
        let signs = u32_at(b, 66 + i / 32 * 4);
        let db = d * (0.5 + (signs >> 28) as f32) * 0.5;
        let value = f32::from(grids::IQ3_XXS[usize::from(b[2 + i / 4])][i % 4]);
        db * value * sign(even(signs >> (i % 32 / 8 * 7)), i % 8)
    })
}

pub(super) fn iq3_s(b: &[u8; 110]) -> [f32; 256] {
    let d = half(b, 0);
    from_fn(|i| {
        let four = i / 4;
        let high = b[66 + four / 8] >> (four % 8) & 1;
        let code = usize::from(b[2 + four]) | usize::from(high) << 8;
        let db = d * f32::from(1 + 2 * nibble(b[106 + i / 64], i % 64 / 32 * 4));
        db * f32::from(grids::IQ3_S[code][i % 4]) * sign(b[74 + i / 8], i % 8)
    })
}

pub(super) fn iq1_s(b: &[u8; 50]) -> [f32; 256] {
    let d = half(b, 0);
    from_fn(|i| {
        let high = u16_at(b, 34 + i / 32 * 2);
        let dl = d * f32::from(2 * (high >> 12 & 7) + 1);
        let delta = if high & 0x8000 == 0 { DELTA } else { -DELTA };
        let code = u16::from(b[2 + i / 8]) | (high >> (i % 32 / 8 * 3) & 7) << 8;
        dl * (f32::from(grids::IQ1[usize::from(code)][i % 8]) + delta)
    })
}

/// The block's scale lies in the highest bits of four words of smaller scales.
pub(super) fn iq1_m(b: &[u8; 56]) -> [f32; 256] {
    let scales: [u16; 4] = from_fn(|i| u16_at(b, 48 + 2 * i));
    let bits = (0..4).fold(0, |bits, i| bits | (scales[i] >> 12) << (4 * i));
    let d = half::f16::from_bits(bits).to_f32();
    from_fn(|i| {
        let scale = scales[i / 64] >> (i % 64 / 16 * 3) & 7;
        let high = nibble(b[32 + i / 16], i % 16 / 8 * 4);
        let delta = if high & 8 == 0 { DELTA } else { -DELTA };
        let code = u16::from(b[i / 8]) | u16::from(high & 7) << 8;
        let value = f32::from(grids::IQ1[usize::from(code)][i % 8]);
        d * f32::from(2 * scale + 1) * (value + delta)
    })
}
