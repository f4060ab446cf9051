//! Numbers one by one, as f32.

pub(super) fn f32(bytes: &[u8; 4]) -> [f32; 1] {
    [f32::from_le_bytes(*bytes)]
}

pub(super) fn f16(bytes: &[u8; 2]) -> [f32; 1] {
    [half::f16::from_le_bytes(*bytes).to_f32()]
}

pub(super) fn bf16(bytes: &[u8; 2]) -> [f32; 1] {
    [f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16)]
}

pub(super) fn f64(bytes: &[u8; 8]) -> [f32; 1] {
    [f64::from_le_bytes(*bytes) as f32]
}

pub(super) fn i8(bytes: &[u8; 1]) -> [f32; 1] {
    [f32::from(i8::from_le_bytes(*bytes))]
}

pub(super) fn i16(bytes: &[u8; 2]) -> [f32; 1] {
    [f32::from(i16::from_le_bytes(*bytes))]
}

pub(super) fn i32(bytes: &[u8; 4]) -> [f32; 1] {
    [i32::from_le_bytes(*bytes) as f32]
}

pub(super) fn i64(bytes: &[u8; 8]) -> [f32; 1] {
    [i64::from_le_bytes(*bytes) as f32]
}
