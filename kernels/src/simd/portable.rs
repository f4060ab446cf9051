//! Sixteen lanes as arrays, on any processor.
use super::{LANES, Simd, e4m3, half_of_e8m0};
use half::f16;
use std::array::from_fn;

/// Plain arrays: the reference.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

type Int = [i32; LANES];
type Float = [f32; LANES];

/// `1.5 * 2^23`: adding it rounds to a whole number, halves to even.
const ROUND: f32 = 12_582_912.0;

#[inline(always)]
fn bytes(a: Int) -> [u8; 64] {
    let mut out = [0; 64];
    for (four, lane) in out.chunks_exact_mut(4).zip(a) {
        four.copy_from_slice(&lane.to_le_bytes());
    }
    out
}

#[inline(always)]
fn from_bytes(bytes: [u8; 64]) -> Int {
    from_fn(|i| i32::from_le_bytes(bytes[4 * i..4 * i + 4].try_into().expect("four bytes")))
}

// SAFETY of every read and write below: the trait's contract says how many bytes
// are there; nothing is asked of their alignment.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Simd for Portable {
    type Int = Int;
    type Float = Float;

    const SUMS_MAX: usize = 6;

    #[inline(always)]
    unsafe fn zero() -> Int {
        [0; LANES]
    }

    #[inline(always)]
    unsafe fn splat(value: i32) -> Int {
        [value; LANES]
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> Int {
        from_bytes(unsafe { from.cast::<[u8; 64]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn prefetch(_: *const u8) {}

    #[inline(always)]
    unsafe fn prefetch_l2(_: *const u8) {}

    #[inline(always)]
    unsafe fn and(a: Int, b: Int) -> Int {
        from_fn(|i| a[i] & b[i])
    }

    #[inline(always)]
    unsafe fn or(a: Int, b: Int) -> Int {
        from_fn(|i| a[i] | b[i])
    }

    #[inline(always)]
    unsafe fn shr<const BITS: u32>(a: Int) -> Int {
        from_fn(|i| (a[i] as u32 >> BITS) as i32)
    }

    #[inline(always)]
    unsafe fn shl<const BITS: u32>(a: Int) -> Int {
        from_fn(|i| a[i] << BITS)
    }

    #[inline(always)]
    unsafe fn add_where(a: Int, mask: *const u8, value: i8) -> Int {
        let mask = u64::from_le(unsafe { mask.cast::<u64>().read_unaligned() });
        let mut bytes = bytes(a);
        for (i, byte) in bytes.iter_mut().enumerate() {
            if mask >> i & 1 == 1 {
                *byte = byte.wrapping_add_signed(value);
            }
        }
        from_bytes(bytes)
    }

    #[inline(always)]
    unsafe fn lookup(table: Int, at: Int) -> Int {
        let table = bytes(table);
        from_bytes(bytes(at).map(|at| table[usize::from(at & 15)]))
    }

    #[inline(always)]
    unsafe fn widen_u16(from: *const u8) -> Int {
        let numbers = unsafe { from.cast::<[u16; LANES]>().read_unaligned() };
        numbers.map(|number| i32::from(u16::from_le(number)))
    }

    #[inline(always)]
    unsafe fn widen_i8(from: *const u8) -> Int {
        unsafe { from.cast::<[i8; LANES]>().read_unaligned() }.map(i32::from)
    }

    #[inline(always)]
    unsafe fn dot(acc: Int, weights: Int, lhs: *const i8) -> Int {
        let lhs = unsafe { lhs.cast::<[i8; 4]>().read_unaligned() }.map(i32::from);
        from_fn(|i| {
            let w = weights[i].to_le_bytes().map(i32::from);
            acc[i] + w[0] * lhs[0] + w[1] * lhs[1] + w[2] * lhs[2] + w[3] * lhs[3]
        })
    }

    #[inline(always)]
    unsafe fn to_float(a: Int) -> Float {
        a.map(|x| x as f32)
    }

    #[inline(always)]
    unsafe fn zero_f() -> Float {
        [0.0; LANES]
    }

    #[inline(always)]
    unsafe fn splat_f(value: f32) -> Float {
        [value; LANES]
    }

    #[inline(always)]
    unsafe fn load_half(from: *const u8) -> Float {
        let bits = unsafe { from.cast::<[u16; LANES]>().read_unaligned() };
        bits.map(|bits| f16::from_bits(u16::from_le(bits)).to_f32())
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const u8) -> Float {
        let bits = unsafe { from.cast::<[u16; LANES]>().read_unaligned() };
        bits.map(|bits| f32::from_bits(u32::from(u16::from_le(bits)) << 16))
    }

    #[inline(always)]
    unsafe fn load_e4m3_over_256(from: *const u8) -> Float {
        let bytes = unsafe { from.cast::<[u8; LANES]>().read_unaligned() };
        bytes.map(|byte| e4m3(byte) / 256.0)
    }

    #[inline(always)]
    unsafe fn load_half_of_e8m0(from: *const u8) -> Float {
        unsafe { from.cast::<[u8; LANES]>().read_unaligned() }.map(half_of_e8m0)
    }

    #[inline(always)]
    unsafe fn load_f(from: *const f32) -> Float {
        unsafe { from.cast::<Float>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store_f(to: *mut f32, a: Float) {
        unsafe { to.cast::<Float>().write_unaligned(a) }
    }

    #[inline(always)]
    unsafe fn add(a: Float, b: Float) -> Float {
        from_fn(|i| a[i] + b[i])
    }

    #[inline(always)]
    unsafe fn sub(a: Float, b: Float) -> Float {
        from_fn(|i| a[i] - b[i])
    }

    #[inline(always)]
    unsafe fn mul(a: Float, b: Float) -> Float {
        from_fn(|i| a[i] * b[i])
    }

    #[inline(always)]
    unsafe fn div(a: Float, b: Float) -> Float {
        from_fn(|i| a[i] / b[i])
    }

    #[inline(always)]
    unsafe fn max(a: Float, b: Float) -> Float {
        from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    unsafe fn min(a: Float, b: Float) -> Float {
        from_fn(|i| if a[i] < b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    unsafe fn mul_add(a: Float, b: Float, c: Float) -> Float {
        from_fn(|i| a[i] * b[i] + c[i])
    }

    #[inline(always)]
    unsafe fn mul_sub(a: Float, b: Float, c: Float) -> Float {
        from_fn(|i| c[i] - a[i] * b[i])
    }

    #[inline(always)]
    unsafe fn scale_by_power(a: Float, n: Float) -> Float {
        from_fn(|i| a[i] * f32::from_bits(((n[i] as i32 + 127) as u32) << 23))
    }

    #[inline(always)]
    unsafe fn round(a: Float) -> Float {
        a.map(|x| (x + ROUND) - ROUND)
    }

    #[inline(always)]
    unsafe fn abs(a: Float) -> Float {
        a.map(f32::abs)
    }

    #[inline(always)]
    unsafe fn sum(a: Float) -> f32 {
        a.iter().sum()
    }

    #[inline(always)]
    unsafe fn largest(a: Float) -> f32 {
        a.into_iter().fold(f32::NEG_INFINITY, f32::max)
    }

    #[inline(always)]
    unsafe fn store_i8(to: *mut i8, a: Float) {
        let rounded = a.map(|x| ((x + ROUND) - ROUND) as i8);
        unsafe { to.cast::<[i8; LANES]>().write_unaligned(rounded) }
    }
}
