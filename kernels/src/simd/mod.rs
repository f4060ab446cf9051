//! Vectors of sixteen 32-bit lanes: what the kernels are written in.
//!
//! A kernel is one generic function over [`Simd`], inlined into one entry a
//! processor that turns the features on. So every processor runs the same lines,
//! and the portable path, plain arrays that the compiler vectorises as it can, is
//! the reference for the others.
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::Avx512;
pub(crate) use portable::Portable;

/// Lanes of a vector.
pub(crate) const LANES: usize = 16;

/// Operations on sixteen 32-bit lanes, also seen as 64 bytes.
///
/// # Safety
/// Every function needs the processor features that its type stands for; those
/// that take a pointer read or write as many bytes there as they say.
pub(crate) trait Simd: Copy + 'static {
    /// 16 x i32, or 64 bytes.
    type Int: Copy;
    /// 16 x f32.
    type Float: Copy;

    /// Vectors of sums that stay in registers beside the factors of their products.
    const SUMS_MAX: usize;

    unsafe fn zero() -> Self::Int;
    unsafe fn splat(value: i32) -> Self::Int;
    /// 64 bytes.
    unsafe fn load(from: *const u8) -> Self::Int;
    /// Asks for the cache line of an address that will be read soon, or never.
    unsafe fn prefetch(at: *const u8);
    /// The same, into the second-level cache only.
    unsafe fn prefetch_l2(at: *const u8);
    unsafe fn and(a: Self::Int, b: Self::Int) -> Self::Int;
    unsafe fn or(a: Self::Int, b: Self::Int) -> Self::Int;
    /// Each 32-bit lane shifted as unsigned.
    unsafe fn shr<const BITS: u32>(a: Self::Int) -> Self::Int;
    unsafe fn shl<const BITS: u32>(a: Self::Int) -> Self::Int;
    /// Adds `value` to byte `i` where bit `i` of the 64 bits at `mask` is set.
    unsafe fn add_where(a: Self::Int, mask: *const u8, value: i8) -> Self::Int;
    /// For each byte of `at`, all below 16, that of the 16 in each 128 bits of `table`.
    unsafe fn lookup(table: Self::Int, at: Self::Int) -> Self::Int;
    /// 16 signed bytes, one a lane.
    unsafe fn widen_i8(from: *const u8) -> Self::Int;
    /// 16 unsigned 16-bit numbers, one a lane.
    unsafe fn widen_u16(from: *const u8) -> Self::Int;
    /// In each lane: `acc` plus the inner product of `weights`' four unsigned
    /// bytes with the four signed bytes at `lhs`, the same for all lanes.
    unsafe fn dot(acc: Self::Int, weights: Self::Int, lhs: *const i8) -> Self::Int;
    /// The inner products of a run of `PAIRS` pairs of quads of weights with `ROWS` rows of
    /// the left side, as [`dot`](Self::dot) takes them: quad `i` goes with what is at `lhs +
    /// 4 * (i * ROWS + row)`. No byte of the weights is above `largest`.
    #[inline(always)]
    unsafe fn dots<const ROWS: usize, const PAIRS: usize>(
        run: &mut impl Run<Self>,
        largest: usize,
        lhs: *const i8,
    ) {
        let _ = largest; // of an instruction that does not overflow
        // SAFETY: the caller's promises.
        unsafe {
            let mut dots = [Self::zero(); ROWS];
            for (row, dot) in dots.iter_mut().enumerate() {
                *dot = run.start(row);
            }
            for pair in 0..PAIRS {
                for (quad, weights) in run.pair(pair).into_iter().enumerate() {
                    let lhs = lhs.add(4 * ROWS * (2 * pair + quad));
                    for (row, dot) in dots.iter_mut().enumerate() {
                        *dot = Self::dot(*dot, weights, lhs.add(4 * row));
                    }
                }
            }
            for (row, dot) in dots.into_iter().enumerate() {
                run.done(row, dot);
            }
        }
    }
    unsafe fn to_float(a: Self::Int) -> Self::Float;

    unsafe fn zero_f() -> Self::Float;
    unsafe fn splat_f(value: f32) -> Self::Float;
    /// 16 halves, 32 bytes.
    unsafe fn load_half(from: *const u8) -> Self::Float;
    /// 16 numbers of bf16, 32 bytes.
    unsafe fn load_bf16(from: *const u8) -> Self::Float;
    /// [`e4m3`] of 16 bytes, over 256.
    unsafe fn load_e4m3_over_256(from: *const u8) -> Self::Float;
    /// [`half_of_e8m0`] of 16 bytes.
    unsafe fn load_half_of_e8m0(from: *const u8) -> Self::Float;
    /// 64 bytes.
    unsafe fn load_f(from: *const f32) -> Self::Float;
    /// 64 bytes.
    unsafe fn store_f(to: *mut f32, a: Self::Float);
    unsafe fn add(a: Self::Float, b: Self::Float) -> Self::Float;
    unsafe fn sub(a: Self::Float, b: Self::Float) -> Self::Float;
    unsafe fn mul(a: Self::Float, b: Self::Float) -> Self::Float;
    unsafe fn div(a: Self::Float, b: Self::Float) -> Self::Float;
    /// `b` where either is NaN.
    unsafe fn max(a: Self::Float, b: Self::Float) -> Self::Float;
    /// `b` where either is NaN.
    unsafe fn min(a: Self::Float, b: Self::Float) -> Self::Float;
    /// `a * b + c`, rounded once or twice.
    unsafe fn mul_add(a: Self::Float, b: Self::Float, c: Self::Float) -> Self::Float;
    /// `c - a * b`, rounded once or twice.
    unsafe fn mul_sub(a: Self::Float, b: Self::Float, c: Self::Float) -> Self::Float;
    /// `2^n * a` for whole `n` in `[-126, 127]`.
    unsafe fn scale_by_power(a: Self::Float, n: Self::Float) -> Self::Float;
    /// To the nearest whole number, halves to the even one; `|a| < 2^22`.
    unsafe fn round(a: Self::Float) -> Self::Float;
    unsafe fn abs(a: Self::Float) -> Self::Float;
    unsafe fn sum(a: Self::Float) -> f32;
    unsafe fn largest(a: Self::Float) -> f32;
    /// Rounds each lane to a signed byte, halves to even; `|a| <= 127`.
    unsafe fn store_i8(to: *mut i8, a: Self::Float);
}

/// A run of weights of sixteen rows that share their scales, and what becomes of their inner
/// products. (Not closures: those are not inlined for sure, and are compiled without the
/// processor's features then.)
///
/// # Safety
/// Every function needs the processor features that `S` stands for, and whatever the run
/// was made of to be in place.
pub(crate) trait Run<S: Simd> {
    /// First values of the inner products with row `row` of the left side.
    unsafe fn start(&self, row: usize) -> S::Int;
    /// Quads `2 * pair` and `2 * pair + 1`: four neighbouring columns of all rows, `[16
    /// rows][4 columns]`, each. (By pairs, as a byte in memory holds nibbles of two quads.)
    unsafe fn pair(&self, pair: usize) -> [S::Int; 2];
    /// Takes the inner products with row `row`.
    unsafe fn done(&mut self, row: usize, dot: S::Int);
}

/// `2^(e - 128)`: half of what the exponent `e` of a microscaling format stands for.
pub(crate) fn half_of_e8m0(e: u8) -> f32 {
    // Both factors are normal numbers; a product below those is exact, too.
    let power = |n: u32| f32::from_bits((n + 63) << 23);
    let e = u32::from(e);
    power(e / 2) * power(e - e / 2)
}

/// A number of FP8's E4M3 (arXiv 2209.05433): no infinities, NaN by all ones.
pub(crate) fn e4m3(byte: u8) -> f32 {
    // The same bits are a half's, whose exponent is 8 less.
    let bits = u16::from(byte & 0x80) << 8 | u16::from(byte & 0x7f) << 7;
    match byte & 0x7f {
        0x7f => f32::NAN,
        _ => half::f16::from_bits(bits).to_f32() * 256.0,
    }
}

/// The largest argument below which `e^x` counts as 0 here: `e^-87` is near the
/// smallest normal f32.
pub(crate) const EXPONENT_MIN: f32 = -87.0;
const EXPONENT_MAX: f32 = 88.0;

/// `e^x`, relative error below 3e-7 in `[-87, 88]`; arguments outside are taken
/// as the nearer end.
///
/// Source: Cephes `expf` (Moshier): `x = n ln 2 + r`, a polynomial for `e^r`.
///
/// # Safety
/// The processor must have what `S` stands for.
#[inline(always)]
#[allow(clippy::excessive_precision)] // the coefficients as published
pub(crate) unsafe fn exp<S: Simd>(x: S::Float) -> S::Float {
    // SAFETY: the caller's promise.
    unsafe {
        let x = S::max(x, S::splat_f(EXPONENT_MIN));
        let x = S::sub(
            S::zero_f(),
            S::max(S::sub(S::zero_f(), x), S::splat_f(-EXPONENT_MAX)),
        );
        let n = S::round(S::mul(x, S::splat_f(std::f32::consts::LOG2_E)));
        let r = S::mul_sub(n, S::splat_f(0.693_359_375), x);
        let r = S::mul_sub(n, S::splat_f(-2.121_944_40e-4), r);
        let p = S::splat_f(1.987_569_150e-4);
        let p = S::mul_add(p, r, S::splat_f(1.398_199_950_7e-3));
        let p = S::mul_add(p, r, S::splat_f(8.333_451_907_3e-3));
        let p = S::mul_add(p, r, S::splat_f(4.166_579_589_4e-2));
        let p = S::mul_add(p, r, S::splat_f(1.666_666_545_9e-1));
        let p = S::mul_add(p, r, S::splat_f(5.000_000_120_1e-1));
        let e_r = S::add(S::mul_add(p, S::mul(r, r), r), S::splat_f(1.0));
        S::scale_by_power(e_r, n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_exp<S: Simd>() {
        for step in 0..20_000 {
            let x = -95.0 + 0.01 * step as f32; // to 105
            let mut out = [0f32; LANES];
            // SAFETY: the caller checked the features.
            unsafe { S::store_f(out.as_mut_ptr(), exp::<S>(S::splat_f(x))) };
            let want = f64::from(x.clamp(EXPONENT_MIN, EXPONENT_MAX)).exp();
            let error = (f64::from(out[3]) / want - 1.0).abs();
            assert!(error < 3e-7, "e^{x}: {} for {want}", out[3]);
        }
    }

    /// Calls `$check::<S>()` for every set of instructions of this processor.
    macro_rules! on_all {
        ($check:ident) => {
            for isa in crate::Isa::all() {
                match isa {
                    crate::Isa::Portable => $check::<Portable>(),
                    #[cfg(target_arch = "x86_64")]
                    crate::Isa::Avx2 => $check::<Avx2>(),
                    #[cfg(target_arch = "x86_64")]
                    crate::Isa::Avx512 => $check::<Avx512>(),
                    #[cfg(not(target_arch = "x86_64"))]
                    _ => unreachable!("no processor of this kind has it"),
                }
            }
        };
    }

    fn check_exponents<S: Simd>() {
        let exponents: Vec<u8> = (0..=255).collect();
        for sixteen in exponents.chunks_exact(LANES) {
            let mut out = [0f32; LANES];
            // SAFETY: the caller checked the features; 16 bytes.
            unsafe { S::store_f(out.as_mut_ptr(), S::load_half_of_e8m0(sixteen.as_ptr())) };
            for (&e, got) in sixteen.iter().zip(out) {
                let want = 2f64.powi(i32::from(e) - 128);
                assert_eq!(f64::from(got), want, "exponent {e}");
                assert_eq!(half_of_e8m0(e), got, "exponent {e}");
            }
        }
    }

    #[test]
    fn every_exponent_of_e8m0_is_its_power_of_two_the_smallest_too() {
        on_all!(check_exponents);
    }

    fn check_e4m3<S: Simd>() {
        let bytes: Vec<u8> = (0..=255).collect();
        for sixteen in bytes.chunks_exact(LANES) {
            let mut out = [0f32; LANES];
            // SAFETY: the caller checked the features; 16 bytes.
            unsafe { S::store_f(out.as_mut_ptr(), S::load_e4m3_over_256(sixteen.as_ptr())) };
            for (&byte, got) in sixteen.iter().zip(out) {
                let (exponent, mantissa) = (i32::from(byte >> 3 & 15), f32::from(byte & 7));
                let size = match (exponent, byte & 7) {
                    (15, 7) => f32::NAN,
                    (0, _) => mantissa * 2f32.powi(-9),
                    _ => (8.0 + mantissa) * 2f32.powi(exponent - 10),
                };
                let want = if byte < 128 { size } else { -size };
                let same = |got: f32| got == want || got.is_nan() && want.is_nan();
                assert!(same(256.0 * got), "{byte:#x}: {got} for {want}");
                assert!(same(e4m3(byte)), "{byte:#x}: {} for {want}", e4m3(byte));
            }
        }
    }

    #[test]
    fn every_byte_of_e4m3_is_its_number() {
        on_all!(check_e4m3);
    }

    fn check_lookup<S: Simd>() {
        let table: Vec<u8> = (0..64).map(|i| i % 16 * 15 + 7).collect();
        let at: Vec<u8> = (0..64).map(|i| i * 11 % 16).collect();
        let mut out = [0f32; LANES];
        for byte in 0..4 {
            // SAFETY: the caller checked the features; 64 bytes each.
            unsafe {
                let found = S::lookup(S::load(table.as_ptr()), S::load(at.as_ptr()));
                let found = match byte {
                    0 => found,
                    1 => S::shr::<8>(found),
                    2 => S::shr::<16>(found),
                    _ => S::shr::<24>(found),
                };
                let found = S::to_float(S::and(found, S::splat(0xff)));
                S::store_f(out.as_mut_ptr(), found);
            }
            for (lane, got) in out.into_iter().enumerate() {
                assert_eq!(got, f32::from(at[4 * lane + byte] * 15 + 7));
            }
        }
    }

    #[test]
    fn bytes_are_looked_up_in_every_lane() {
        on_all!(check_lookup);
    }

    fn check_wide<S: Simd>() {
        let numbers: Vec<u16> = (0..16).map(|i| i * 4369).collect();
        let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        let mut out = [0f32; LANES];
        // SAFETY: the caller checked the features; 32 bytes.
        unsafe { S::store_f(out.as_mut_ptr(), S::to_float(S::widen_u16(bytes.as_ptr()))) };
        for (&number, got) in numbers.iter().zip(out) {
            assert_eq!(got, f32::from(number));
        }
    }

    #[test]
    fn numbers_of_16_bits_have_no_sign() {
        on_all!(check_wide);
    }

    #[test]
    fn exp_equals_f64_within_three_parts_in_ten_million() {
        on_all!(check_exp);
    }
}
