//! Signs of eight weights in a byte.

/// The sign of weight `i`: 1, or -1 where its bit is set.
pub(super) fn sign(signs: u8, i: usize) -> f32 {
    if signs >> i & 1 == 0 { 1.0 } else { -1.0 }
}

/// Eight signs of seven bits: the last one makes the number of negative ones even.
pub(super) fn even(seven: u32) -> u8 {
    let seven = (seven & 127) as u8;
    seven | (seven.count_ones() as u8 & 1) << 7
}
