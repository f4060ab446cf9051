//! Passes over a row of logits: the two largest, and sums of `e^x`.
//!
//! Sums are f32 in 16 lanes within a block of 1,024 logits and f64 from there on,
//! so that nothing is lost over a vocabulary.
use crate::Isa;
use crate::isa::dispatch;
use crate::simd::{EXPONENT_MIN, LANES, Simd, exp};

/// Logits whose sums are carried in f32.
const BLOCK: usize = 1_024;

/// `e^d`, `d e^d` and `d² e^d` summed over a row, `d = logit - max`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ExpMoments {
    /// `sum e^d`
    pub e: f64,
    /// `sum d e^d`
    pub e_d: f64,
    /// `sum d² e^d`
    pub e_d2: f64,
}

/// The largest two of some logits, `-inf` where there are not so many; `None` if
/// one of them is NaN or `+inf`.
pub fn top_two(isa: Isa, logits: &[f32]) -> Option<(f32, f32)> {
    // SAFETY: nothing is asked of a slice.
    unsafe { dispatch!(isa, top_two_as(logits: &[f32]) -> Option<(f32, f32)>) }
}

/// Sums over logits of at most `max`, none of them NaN. What `e^d` gives far out,
/// 1.6e-38, is nothing beside the largest logit's 1.
pub fn exp_moments(isa: Isa, logits: &[f32], max: f32) -> ExpMoments {
    // SAFETY: nothing is asked of a slice.
    unsafe { dispatch!(isa, exp_moments_as(logits: &[f32], max: f32) -> ExpMoments) }
}

/// `sum e^(beta (logit - max))` over logits of at most `max`, none of them NaN.
pub fn exp_sum(isa: Isa, logits: &[f32], max: f32, beta: f32) -> f64 {
    // SAFETY: nothing is asked of a slice.
    unsafe { dispatch!(isa, exp_sum_as(logits: &[f32], max: f32, beta: f32) -> f64) }
}

/// Calls `take` with vectors of all logits, the last one filled up with `-inf`.
///
/// # Safety
/// The processor has what `S` stands for.
#[inline(always)]
unsafe fn for_each_vector<S: Simd>(logits: &[f32], mut take: impl FnMut(S::Float)) {
    let (vectors, rest) = logits.as_chunks::<LANES>();
    for vector in vectors {
        // SAFETY: the caller's promise; a whole vector.
        take(unsafe { S::load_f(vector.as_ptr()) });
    }
    if !rest.is_empty() {
        let mut vector = [f32::NEG_INFINITY; LANES];
        vector[..rest.len()].copy_from_slice(rest);
        // SAFETY: as above.
        take(unsafe { S::load_f(vector.as_ptr()) });
    }
}

/// # Safety
/// The processor has what `S` stands for.
#[inline(always)]
unsafe fn top_two_as<S: Simd>(logits: &[f32]) -> Option<(f32, f32)> {
    // SAFETY: the caller's promise.
    unsafe {
        let mut lanes = [[f32::NEG_INFINITY; LANES]; 2];
        let mut first = S::splat_f(f32::NEG_INFINITY);
        let mut second = first;
        let (lowest, mut poison) = (S::splat_f(f32::MIN), S::zero_f());
        for_each_vector::<S>(logits, |logits| {
            // NaN for what is no logit, else 0; `max` gives its second where one
            // is NaN.
            poison = S::mul_add(S::max(lowest, logits), S::zero_f(), poison);
            second = S::max(second, S::min(logits, first));
            first = S::max(first, logits);
        });
        S::store_f(lanes[0].as_mut_ptr(), first);
        S::store_f(lanes[1].as_mut_ptr(), second);
        if S::sum(poison).is_nan() {
            return None;
        }
        let all = lanes.as_flattened().iter();
        Some(all.fold((f32::NEG_INFINITY, f32::NEG_INFINITY), |top, &x| {
            match x > top.0 {
                true => (x, top.0),
                false => (top.0, top.1.max(x)),
            }
        }))
    }
}

/// # Safety
/// The processor has what `S` stands for.
#[inline(always)]
unsafe fn exp_moments_as<S: Simd>(logits: &[f32], max: f32) -> ExpMoments {
    let mut moments = ExpMoments::default();
    for block in logits.chunks(BLOCK) {
        // SAFETY: the caller's promise.
        unsafe {
            let (max, lowest) = (S::splat_f(max), S::splat_f(EXPONENT_MIN));
            let mut sums = [S::zero_f(); 3];
            for_each_vector::<S>(block, |logits| {
                let d = S::max(S::sub(logits, max), lowest);
                let e = exp::<S>(d);
                let e_d = S::mul(e, d);
                sums[0] = S::add(sums[0], e);
                sums[1] = S::add(sums[1], e_d);
                sums[2] = S::mul_add(e_d, d, sums[2]);
            });
            moments.e += sum::<S>(sums[0]);
            moments.e_d += sum::<S>(sums[1]);
            moments.e_d2 += sum::<S>(sums[2]);
        }
    }
    moments
}

/// # Safety
/// The processor has what `S` stands for.
#[inline(always)]
unsafe fn exp_sum_as<S: Simd>(logits: &[f32], max: f32, beta: f32) -> f64 {
    let mut total = 0.0;
    for block in logits.chunks(BLOCK) {
        // SAFETY: the caller's promise.
        unsafe {
            let (max, beta) = (S::splat_f(max), S::splat_f(beta));
            let mut weights = S::zero_f();
            for_each_vector::<S>(block, |logits| {
                let d = S::mul(S::sub(logits, max), beta);
                weights = S::add(weights, exp::<S>(d));
            });
            total += sum::<S>(weights);
        }
    }
    total
}

/// The sum of a vector's lanes in f64.
///
/// # Safety
/// The processor has what `S` stands for.
#[inline(always)]
unsafe fn sum<S: Simd>(a: S::Float) -> f64 {
    let mut lanes = [0f32; LANES];
    // SAFETY: the caller's promise; a whole vector.
    unsafe { S::store_f(lanes.as_mut_ptr(), a) };
    lanes.into_iter().map(f64::from).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row whose largest logit is 9, some of it forbidden.
    fn row(n: usize) -> Vec<f32> {
        let logit = |i: usize| match i % 7 {
            3 => f32::NEG_INFINITY,
            _ => 9.0 - ((i * 37 + 5) % 1009) as f32 / 8.0,
        };
        let mut row: Vec<f32> = (0..n).map(logit).collect();
        row[n / 2] = 9.0;
        row
    }

    #[test]
    fn sums_equal_those_in_f64() {
        for n in [1, 15, 16, 1_024, 5_003] {
            let row = row(n);
            let finite = row.iter().filter(|l| l.is_finite());
            let of = |power: i32, beta: f64| -> f64 {
                let d = finite.clone().map(|&l| f64::from(l) - 9.0);
                d.map(|d| d.powi(power) * (beta * d).exp()).sum()
            };
            let close = |got: f64, want: f64| (got - want).abs() <= 1e-6 * (1.0 + want.abs());
            for isa in Isa::all() {
                let moments = exp_moments(isa, &row, 9.0);
                assert!(close(moments.e, of(0, 1.0)), "{isa:?} {n}: {moments:?}");
                assert!(close(moments.e_d, of(1, 1.0)), "{isa:?} {n}: {moments:?}");
                assert!(close(moments.e_d2, of(2, 1.0)), "{isa:?} {n}: {moments:?}");
                for beta in [0.5, 2.0] {
                    let got = exp_sum(isa, &row, 9.0, beta as f32);
                    assert!(close(got, of(0, beta)), "{isa:?} {n}: {got}");
                }
            }
        }
    }

    #[test]
    fn the_largest_two_are_found_wherever_they_stand() {
        for isa in Isa::all() {
            for n in [2, 16, 17, 1_000] {
                for (first, second) in [(0, n - 1), (n - 1, 0), (n / 2, n / 2 - 1)] {
                    let mut row = vec![-1.0; n];
                    (row[first], row[second]) = (2.0, 1.5);
                    assert_eq!(top_two(isa, &row), Some((2.0, 1.5)), "{isa:?} {n}");
                    row[second] = 2.0;
                    assert_eq!(top_two(isa, &row), Some((2.0, 2.0)), "{isa:?} {n}");
                }
            }
            let forbidden = f32::NEG_INFINITY;
            assert_eq!(top_two(isa, &[forbidden; 20]), Some((forbidden, forbidden)));
            assert_eq!(top_two(isa, &[]), Some((forbidden, forbidden)));
            assert_eq!(top_two(isa, &[3.0]), Some((3.0, forbidden)));
        }
    }

    #[test]
    fn what_is_no_logit_is_seen_in_every_lane() {
        for isa in Isa::all() {
            for bad in [f32::NAN, f32::INFINITY] {
                for n in [1, 16, 40] {
                    for at in 0..n {
                        let mut row = vec![f32::MAX; n];
                        row[n / 3] = f32::MIN;
                        row[at] = bad;
                        assert_eq!(top_two(isa, &row), None, "{isa:?} {bad} at {at} of {n}");
                    }
                }
            }
        }
    }
}
