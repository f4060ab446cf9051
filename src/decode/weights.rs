//! `e^x` over rows of logits: what tokens weigh beside the most likely one.

/// Logits a block: f32 partial sums are carried over no more than this.
pub(super) const BLOCK: usize = 1_024;
/// Independent sums in a block, so that the loops vectorise.
pub(super) const LANES: usize = 16;
/// Below this `e^d` leaves the normal f32 range; such tokens are counted as
/// `e^-87 = 1.6e-38`, which over any vocabulary adds nothing to an f64 sum >= 1.
pub(super) const EXPONENT_MIN: f32 = -87.0;

/// `sum e^(beta * (l - max))` of one block, f32 within and f64 on the way out.
pub(super) fn tempered_mass(block: &[f32], max: f32, beta: f32) -> f64 {
    let mut lanes = [0f32; LANES];
    let (chunks, rest) = block.as_chunks::<LANES>();
    for values in chunks {
        for lane in 0..LANES {
            lanes[lane] += tempered_weight(values[lane], max, beta);
        }
    }
    let rest: f32 = rest.iter().map(|&l| tempered_weight(l, max, beta)).sum();
    lanes.into_iter().map(f64::from).sum::<f64>() + f64::from(rest)
}

/// `e^(beta * (l - max))`: a token's weight at temperature `1 / beta`, 1 at the top.
#[inline(always)]
pub(super) fn tempered_weight(logit: f32, max: f32, beta: f32) -> f32 {
    exp_nonpositive(((logit - max) * beta).max(EXPONENT_MIN))
}

/// `e^x` for `x` in `[EXPONENT_MIN, 0]`, relative error below 2e-7, without a
/// branch or a call so that loops over it vectorise.
///
/// Source: Cephes `expf` (Moshier): `x = n ln 2 + r`, a polynomial for `e^r`,
/// and `n` added to the exponent's bits.
#[inline(always)]
#[allow(clippy::excessive_precision)] // the coefficients as published
pub(super) fn exp_nonpositive(x: f32) -> f32 {
    /// `1.5 * 2^23`: adding it rounds to an integer, left in the low bits.
    const ROUND: f32 = 12_582_912.0;
    /// `ln 2` as a part with few bits, which `n` multiplies exactly, and the rest.
    const LN2_HIGH: f32 = 0.693_359_375;
    const LN2_LOW: f32 = -2.121_944_40e-4;
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN2_HIGH) - n * LN2_LOW;
    let p = 1.987_569_150e-4;
    let p = p * r + 1.398_199_950_7e-3;
    let p = p * r + 8.333_451_907_3e-3;
    let p = p * r + 4.166_579_589_4e-2;
    let p = p * r + 1.666_666_545_9e-1;
    let p = p * r + 5.000_000_120_1e-1;
    let e_r = p * (r * r) + r + 1.0;
    e_r * f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0f32.to_bits()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomial_exp_agrees_with_f64_over_its_range() {
        let steps = 1_000_000;
        let worst = (0..=steps)
            .map(|i| EXPONENT_MIN * i as f32 / steps as f32)
            .map(|x| (f64::from(exp_nonpositive(x)) / f64::from(x).exp() - 1.0).abs())
            .fold(0.0, f64::max);
        assert!(worst < 2e-7, "worst relative error {worst:e}");
        assert_eq!(exp_nonpositive(0.0), 1.0);
    }
}
