//! Sixteen lanes in two registers of AVX2, with FMA and F16C.
use super::{Run, Simd};
use std::arch::x86_64::*;

/// AVX2, FMA and F16C.
#[derive(Clone, Copy)]
pub(crate) struct Avx2;

type Int = [__m256i; 2];
type Float = [__m256; 2];

/// Applies an operation to both registers of its operands.
macro_rules! both {
    ($op:ident($a:ident)) => {
        [$op($a[0]), $op($a[1])]
    };
    ($op:ident($a:ident, $b:ident)) => {
        [$op($a[0], $b[0]), $op($a[1], $b[1])]
    };
    ($op:ident($a:ident, $b:ident, $c:ident)) => {
        [$op($a[0], $b[0], $c[0]), $op($a[1], $b[1], $c[1])]
    };
}

/// [`super::half_of_e8m0`] of eight exponents.
///
/// # Safety
/// The processor has AVX2.
#[inline(always)]
unsafe fn half_of_e8m0(e: __m256i) -> __m256 {
    // SAFETY: the caller's promise.
    unsafe {
        let (bias, lower) = (_mm256_set1_epi32(63), _mm256_srli_epi32::<1>(e));
        let upper = _mm256_sub_epi32(e, lower);
        let lower = _mm256_slli_epi32::<23>(_mm256_add_epi32(lower, bias));
        let upper = _mm256_slli_epi32::<23>(_mm256_add_epi32(upper, bias));
        _mm256_mul_ps(_mm256_castsi256_ps(lower), _mm256_castsi256_ps(upper))
    }
}

/// Sixteen bytes of E4M3 as halves of a 256th part: the same bits, of an exponent that is 8
/// less.
///
/// # Safety
/// The processor has AVX2; 16 bytes are there.
#[inline(always)]
pub(super) unsafe fn halves_of_e4m3(from: *const u8) -> __m256i {
    // SAFETY: the caller's promises.
    unsafe {
        let bytes = _mm256_cvtepi8_epi16(_mm_loadu_si128(from.cast()));
        // The sign's copies fill all bits from the eighth on; one goes between it and the rest.
        let bits = _mm256_and_si256(
            _mm256_slli_epi16::<7>(bytes),
            _mm256_set1_epi16(0xbf80_u16 as i16),
        );
        // All ones is no number.
        let (sign, ones) = (
            _mm256_set1_epi16(i16::MIN),
            _mm256_set1_epi16(0xbf80_u16 as i16),
        );
        let is_nan = _mm256_cmpeq_epi16(_mm256_or_si256(bits, sign), ones);
        _mm256_or_si256(bits, is_nan)
    }
}

/// Rows whose inner products are taken together: two registers for each, of sixteen.
const ROWS_AT_ONCE: usize = 4;

/// [`Simd::dots`] for `N` rows from `first` on, of `ROWS`.
///
/// # Safety
/// As there.
#[inline(always)]
unsafe fn dots_of<const N: usize, const ROWS: usize, const PAIRS: usize>(
    run: &mut impl Run<Avx2>,
    first: usize,
    largest: usize,
    lhs: *const i8,
) {
    // A pair of products is at most 2 * 128 * `largest`: that many pairs' sums go into 16
    // bits, and are widened together. By pairs of quads.
    let span = i16::MAX as usize / (256 * largest) / 2;
    // SAFETY: the caller's promises.
    unsafe {
        let lhs = |quad: usize, row: usize| lhs.add(4 * (quad * ROWS + first + row));
        let mut dots = [Avx2::zero(); N];
        for (row, dot) in dots.iter_mut().enumerate() {
            *dot = run.start(first + row);
        }
        if span == 0 {
            for pair in 0..PAIRS {
                for (quad, weights) in run.pair(pair).into_iter().enumerate() {
                    for (row, dot) in dots.iter_mut().enumerate() {
                        *dot = Avx2::dot(*dot, weights, lhs(2 * pair + quad, row));
                    }
                }
            }
        } else {
            let ones = _mm256_set1_epi16(1);
            for from in (0..PAIRS).step_by(span) {
                let mut narrow = [Avx2::zero(); N];
                for pair in from..PAIRS.min(from + span) {
                    for (quad, weights) in run.pair(pair).into_iter().enumerate() {
                        for (row, narrow) in narrow.iter_mut().enumerate() {
                            let lhs = lhs(2 * pair + quad, row).cast::<i32>();
                            let lhs = _mm256_set1_epi32(lhs.read_unaligned());
                            for (narrow, weights) in narrow.iter_mut().zip(weights) {
                                let products = _mm256_maddubs_epi16(weights, lhs);
                                *narrow = _mm256_add_epi16(*narrow, products);
                            }
                        }
                    }
                }
                for (dot, narrow) in dots.iter_mut().zip(narrow) {
                    for (dot, narrow) in dot.iter_mut().zip(narrow) {
                        *dot = _mm256_add_epi32(*dot, _mm256_madd_epi16(narrow, ones));
                    }
                }
            }
        }
        for (row, dot) in dots.into_iter().enumerate() {
            run.done(first + row, dot);
        }
    }
}

// SAFETY of every call below: the trait's contract asks for a processor with
// these features, and says how many bytes are at a pointer; the loads and stores
// are the unaligned ones.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Simd for Avx2 {
    type Int = Int;
    type Float = Float;

    const SUMS_MAX: usize = 6;

    #[inline(always)]
    unsafe fn zero() -> Int {
        unsafe { [_mm256_setzero_si256(); 2] }
    }

    #[inline(always)]
    unsafe fn splat(value: i32) -> Int {
        unsafe { [_mm256_set1_epi32(value); 2] }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> Int {
        unsafe {
            [
                _mm256_loadu_si256(from.cast()),
                _mm256_loadu_si256(from.add(32).cast()),
            ]
        }
    }

    #[inline(always)]
    unsafe fn prefetch(at: *const u8) {
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
    }

    #[inline(always)]
    unsafe fn prefetch_l2(at: *const u8) {
        unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) }
    }

    #[inline(always)]
    unsafe fn and(a: Int, b: Int) -> Int {
        unsafe { both!(_mm256_and_si256(a, b)) }
    }

    #[inline(always)]
    unsafe fn or(a: Int, b: Int) -> Int {
        unsafe { both!(_mm256_or_si256(a, b)) }
    }

    #[inline(always)]
    unsafe fn shr<const BITS: u32>(a: Int) -> Int {
        unsafe {
            let bits = _mm_cvtsi32_si128(BITS as i32); // a constant shift when compiled
            [_mm256_srl_epi32(a[0], bits), _mm256_srl_epi32(a[1], bits)]
        }
    }

    #[inline(always)]
    unsafe fn shl<const BITS: u32>(a: Int) -> Int {
        unsafe {
            let bits = _mm_cvtsi32_si128(BITS as i32);
            [_mm256_sll_epi32(a[0], bits), _mm256_sll_epi32(a[1], bits)]
        }
    }

    #[inline(always)]
    unsafe fn add_where(a: Int, mask: *const u8, value: i8) -> Int {
        unsafe {
            // Byte i of a register gets the mask's byte i / 8, then bit i % 8 of it.
            let spread = _mm256_setr_epi64x(
                0,
                0x0101_0101_0101_0101,
                0x0202_0202_0202_0202,
                0x0303_0303_0303_0303,
            );
            let bit = _mm256_set1_epi64x(0x8040_2010_0804_0201u64 as i64);
            let value = _mm256_set1_epi8(value);
            let mask = mask.cast::<[i32; 2]>().read_unaligned();
            let mut sums = a;
            for (sum, mask) in sums.iter_mut().zip(mask) {
                let bits = _mm256_shuffle_epi8(_mm256_set1_epi32(mask), spread);
                let set = _mm256_cmpeq_epi8(_mm256_and_si256(bits, bit), bit);
                *sum = _mm256_add_epi8(*sum, _mm256_and_si256(set, value));
            }
            sums
        }
    }

    #[inline(always)]
    unsafe fn lookup(table: Int, at: Int) -> Int {
        unsafe { both!(_mm256_shuffle_epi8(table, at)) }
    }

    #[inline(always)]
    unsafe fn widen_u16(from: *const u8) -> Int {
        unsafe {
            [
                _mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast())),
                _mm256_cvtepu16_epi32(_mm_loadu_si128(from.add(16).cast())),
            ]
        }
    }

    #[inline(always)]
    unsafe fn widen_i8(from: *const u8) -> Int {
        unsafe {
            [
                _mm256_cvtepi8_epi32(_mm_loadl_epi64(from.cast())),
                _mm256_cvtepi8_epi32(_mm_loadl_epi64(from.add(8).cast())),
            ]
        }
    }

    #[inline(always)]
    unsafe fn dot(acc: Int, weights: Int, lhs: *const i8) -> Int {
        unsafe {
            // As 16-bit numbers, the even bytes and the odd ones: AVX2's own product of
            // bytes saturates.
            let lhs = _mm256_set1_epi32(lhs.cast::<i32>().read_unaligned());
            let lhs_even = _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(lhs));
            let lhs_odd = _mm256_srai_epi16::<8>(lhs);
            let low = _mm256_set1_epi16(0xff);
            let mut sums = acc;
            for (sum, w) in sums.iter_mut().zip(weights) {
                let even = _mm256_madd_epi16(_mm256_and_si256(w, low), lhs_even);
                let odd = _mm256_madd_epi16(_mm256_srli_epi16::<8>(w), lhs_odd);
                *sum = _mm256_add_epi32(*sum, _mm256_add_epi32(even, odd));
            }
            sums
        }
    }

    #[inline(always)]
    unsafe fn dots<const ROWS: usize, const PAIRS: usize>(
        run: &mut impl Run<Self>,
        largest: usize,
        lhs: *const i8,
    ) {
        const { assert!(ROWS_AT_ONCE == 4, "rests of up to three rows") };
        unsafe {
            let rest = ROWS / ROWS_AT_ONCE * ROWS_AT_ONCE;
            for first in (0..rest).step_by(ROWS_AT_ONCE) {
                dots_of::<ROWS_AT_ONCE, ROWS, PAIRS>(run, first, largest, lhs);
            }
            match ROWS - rest {
                0 => {}
                1 => dots_of::<1, ROWS, PAIRS>(run, rest, largest, lhs),
                2 => dots_of::<2, ROWS, PAIRS>(run, rest, largest, lhs),
                _ => dots_of::<3, ROWS, PAIRS>(run, rest, largest, lhs),
            }
        }
    }

    #[inline(always)]
    unsafe fn to_float(a: Int) -> Float {
        unsafe { both!(_mm256_cvtepi32_ps(a)) }
    }

    #[inline(always)]
    unsafe fn zero_f() -> Float {
        unsafe { [_mm256_setzero_ps(); 2] }
    }

    #[inline(always)]
    unsafe fn splat_f(value: f32) -> Float {
        unsafe { [_mm256_set1_ps(value); 2] }
    }

    #[inline(always)]
    unsafe fn load_half(from: *const u8) -> Float {
        unsafe {
            [
                _mm256_cvtph_ps(_mm_loadu_si128(from.cast())),
                _mm256_cvtph_ps(_mm_loadu_si128(from.add(16).cast())),
            ]
        }
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const u8) -> Float {
        unsafe {
            let halves = [
                _mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast())),
                _mm256_cvtepu16_epi32(_mm_loadu_si128(from.add(16).cast())),
            ];
            [
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(halves[0])),
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(halves[1])),
            ]
        }
    }

    #[inline(always)]
    unsafe fn load_e4m3_over_256(from: *const u8) -> Float {
        unsafe {
            let halves = halves_of_e4m3(from);
            [
                _mm256_cvtph_ps(_mm256_castsi256_si128(halves)),
                _mm256_cvtph_ps(_mm256_extracti128_si256::<1>(halves)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn load_half_of_e8m0(from: *const u8) -> Float {
        unsafe {
            let exponents = [
                _mm256_cvtepu8_epi32(_mm_loadl_epi64(from.cast())),
                _mm256_cvtepu8_epi32(_mm_loadl_epi64(from.add(8).cast())),
            ];
            [half_of_e8m0(exponents[0]), half_of_e8m0(exponents[1])]
        }
    }

    #[inline(always)]
    unsafe fn load_f(from: *const f32) -> Float {
        unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))] }
    }

    #[inline(always)]
    unsafe fn store_f(to: *mut f32, a: Float) {
        unsafe {
            _mm256_storeu_ps(to, a[0]);
            _mm256_storeu_ps(to.add(8), a[1]);
        }
    }

    #[inline(always)]
    unsafe fn add(a: Float, b: Float) -> Float {
        unsafe { both!(_mm256_add_ps(a, b)) }
    }

    #[inline(always)]
    unsafe fn sub(a: Float, b: Float) -> Float {
        unsafe { both!(_mm256_sub_ps(a, b)) }
    }

    #[inline(always)]
    unsafe fn mul(a: Float, b: Float) -> Float {
        unsafe { both!(_mm256_mul_ps(a, b)) }
    }

    #[inline(always)]
    unsafe fn div(a: Float, b: Float) -> Float {
        unsafe { both!(_mm256_div_ps(a, b)) }
    }

    #[inline(always)]
    unsafe fn max(a: Float, b: Float) -> Float {
        unsafe { both!(_mm256_max_ps(a, b)) }
    }

    #[inline(always)]
    unsafe fn min(a: Float, b: Float) -> Float {
        unsafe { both!(_mm256_min_ps(a, b)) }
    }

    #[inline(always)]
    unsafe fn mul_add(a: Float, b: Float, c: Float) -> Float {
        unsafe { both!(_mm256_fmadd_ps(a, b, c)) }
    }

    #[inline(always)]
    unsafe fn mul_sub(a: Float, b: Float, c: Float) -> Float {
        unsafe { both!(_mm256_fnmadd_ps(a, b, c)) }
    }

    #[inline(always)]
    unsafe fn scale_by_power(a: Float, n: Float) -> Float {
        unsafe {
            let bias = _mm256_set1_epi32(127);
            let mut scaled = a;
            for (a, n) in scaled.iter_mut().zip(n) {
                let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), bias);
                let power = _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent));
                *a = _mm256_mul_ps(*a, power);
            }
            scaled
        }
    }

    #[inline(always)]
    unsafe fn round(a: Float) -> Float {
        unsafe {
            const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
            [
                _mm256_round_ps::<NEAREST>(a[0]),
                _mm256_round_ps::<NEAREST>(a[1]),
            ]
        }
    }

    #[inline(always)]
    unsafe fn abs(a: Float) -> Float {
        unsafe {
            let sign = [_mm256_set1_ps(-0.0); 2];
            both!(_mm256_andnot_ps(sign, a))
        }
    }

    #[inline(always)]
    unsafe fn sum(a: Float) -> f32 {
        unsafe {
            let eight = _mm256_add_ps(a[0], a[1]);
            let four = _mm_add_ps(
                _mm256_castps256_ps128(eight),
                _mm256_extractf128_ps::<1>(eight),
            );
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }

    #[inline(always)]
    unsafe fn largest(a: Float) -> f32 {
        unsafe {
            let eight = _mm256_max_ps(a[0], a[1]);
            let four = _mm_max_ps(
                _mm256_castps256_ps128(eight),
                _mm256_extractf128_ps::<1>(eight),
            );
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
        }
    }

    #[inline(always)]
    unsafe fn store_i8(to: *mut i8, a: Float) {
        unsafe {
            // The processor's rounding mode: to nearest, halves to even.
            let words: Int = both!(_mm256_cvtps_epi32(a));
            let mut packed = [_mm_setzero_si128(); 2];
            for (packed, eight) in packed.iter_mut().zip(words) {
                let upper = _mm256_extracti128_si256::<1>(eight);
                *packed = _mm_packs_epi32(_mm256_castsi256_si128(eight), upper);
            }
            let bytes = _mm_packs_epi16(packed[0], packed[1]);
            _mm_storeu_si128(to.cast(), bytes);
        }
    }
}
