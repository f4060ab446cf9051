//! What one row of raw logits says: its normaliser, entropy and top tokens.
//!
//! With `d = l - max(l)` and `Z = sum e^d`: `ln Z` normalises, the entropy is
//! `ln Z - E[d]`, and the varentropy is the variance of `d` (that of `-ln p`,
//! which differs from `-d` by a constant). Two passes over the row, 8 bytes a
//! logit read; nothing is allocated.
//!
//! Precision: `d` and `e^d` are f32 (relative error about 1e-7 each), summed in
//! 16 lanes over blocks of 1,024 and from there on in f64, which keeps all
//! results within 1e-5 nats of an f64 reference.
use super::{DecodeError, Mask};
use std::array::from_fn;

/// Logits a block: f32 partial sums are carried over no more than this.
pub(super) const BLOCK: usize = 1_024;
/// Independent sums in a block, so that the loops vectorise.
const LANES: usize = 16;
/// Below this `e^d` leaves the normal f32 range; such tokens are counted as
/// `e^-87 = 1.6e-38`, which over any vocabulary adds nothing to an f64 sum >= 1.
const EXPONENT_MIN: f32 = -87.0;

/// One row of raw logits in six figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowStats {
    /// `ln sum e^l`: a token's log-probability is its logit minus this.
    pub logsumexp: f64,
    /// `-sum p ln p`, nats.
    pub entropy_nats: f32,
    /// Variance of `-ln p` under `p`, nats².
    pub varentropy: f32,
    /// The most likely token; the lowest id of several.
    pub top1: u32,
    /// Its probability.
    pub top1_prob: f32,
    /// `top1_prob` minus the second token's probability.
    pub margin: f32,
}

impl RowStats {
    /// Reads a row. `-inf` is a logit of probability 0; an empty row, NaN,
    /// `+inf`, or a row of nothing but `-inf` is an error.
    ///
    /// Cost: two passes, about 0.1 ms for 151,936 logits on one core.
    pub fn of(logits: &[f32]) -> Result<Self, DecodeError> {
        let top = TopTwo::of(logits)?;
        let sums = Sums::of(logits, top.first);
        let mean_d = sums.e_d / sums.e;
        let log_z = sums.e.ln();
        let prob = |logit: f32| (f64::from(logit) - f64::from(top.first) - log_z).exp();
        Ok(Self {
            logsumexp: f64::from(top.first) + log_z,
            entropy_nats: (log_z - mean_d).max(0.0) as f32,
            varentropy: (sums.e_d2 / sums.e - mean_d * mean_d).max(0.0) as f32,
            top1: top.index as u32,
            top1_prob: prob(top.first) as f32,
            margin: (prob(top.first) - prob(top.second)) as f32,
        })
    }

    /// Position of a row's largest logit, the first of several; `None` where
    /// [`RowStats::of`] would be an error.
    pub(super) fn top1_of(logits: &[f32]) -> Option<usize> {
        TopTwo::of(logits).ok().map(|top| top.index)
    }
}

/// Natural log of a token's probability under the raw logits; `-inf` for an id
/// past the row.
pub fn logprob(logits: &[f32], stats: &RowStats, token: u32) -> f32 {
    logits
        .get(token as usize)
        .map_or(f32::NEG_INFINITY, |&logit| {
            (f64::from(logit) - stats.logsumexp) as f32
        })
}

/// Entropy of the distribution renormalised over the allowed tokens, nats.
///
/// `None` where no allowed token has a finite logit. Cost: a copy of the
/// allowed logits, then as [`RowStats::of`] on them.
pub fn masked_entropy(logits: &[f32], mask: &Mask) -> Option<f32> {
    if mask
        .only()
        .is_some_and(|token| (token as usize) < logits.len())
    {
        return Some(0.0);
    }
    let values = if mask.is_sparse() {
        mask.gathered(logits).1
    } else {
        mask.applied(logits)
    };
    RowStats::of(&values).ok().map(|stats| stats.entropy_nats)
}

/// The two largest logits, and where the first is.
struct TopTwo {
    first: f32,
    second: f32,
    index: usize,
}

impl TopTwo {
    fn of(logits: &[f32]) -> Result<Self, DecodeError> {
        if logits.is_empty() {
            return Err(DecodeError::EmptyRow);
        }
        let mut top = Self {
            first: f32::NEG_INFINITY,
            second: f32::NEG_INFINITY,
            index: 0,
        };
        for (block_index, block) in logits.chunks(BLOCK).enumerate() {
            let (first, second) = top_two_values(block);
            // `first` is NaN if the block holds a NaN, so this looks at it too.
            if !(first < f32::INFINITY) {
                return Err(bad_logit(block, block_index * BLOCK));
            }
            if first > top.first {
                let within = block.iter().position(|&l| l == first);
                top.index = block_index * BLOCK + within.expect("a block holds its largest logit");
                top.second = top.first.max(second);
                top.first = first;
            } else {
                top.second = top.second.max(first);
            }
        }
        if top.first == f32::NEG_INFINITY {
            return Err(DecodeError::NoFiniteLogit);
        }
        Ok(top)
    }
}

/// Largest and second largest of a block; `(NaN, _)` if it holds a NaN.
fn top_two_values(block: &[f32]) -> (f32, f32) {
    let mut first = [f32::NEG_INFINITY; LANES];
    let mut second = [f32::NEG_INFINITY; LANES];
    let mut nan = [0u32; LANES];
    let (chunks, rest) = block.as_chunks::<LANES>();
    let mut take = |values: &[f32; LANES]| {
        for lane in 0..LANES {
            let value = values[lane];
            nan[lane] |= u32::from(value.is_nan());
            // `if`, not `f32::max`: no NaN rules, so it is one instruction.
            let lesser = if value < first[lane] {
                value
            } else {
                first[lane]
            };
            second[lane] = if lesser > second[lane] {
                lesser
            } else {
                second[lane]
            };
            first[lane] = if value > first[lane] {
                value
            } else {
                first[lane]
            };
        }
    };
    chunks.iter().for_each(&mut take);
    take(&from_fn(|lane| {
        rest.get(lane).copied().unwrap_or(f32::NEG_INFINITY)
    }));
    if nan.iter().any(|&n| n != 0) {
        return (f32::NAN, f32::NAN);
    }
    let mut top = (f32::NEG_INFINITY, f32::NEG_INFINITY);
    for value in first.into_iter().chain(second) {
        if value > top.0 {
            top = (value, top.0);
        } else if value > top.1 {
            top.1 = value;
        }
    }
    top
}

/// Names the first NaN or `+inf` of a block known to hold one.
#[cold]
fn bad_logit(block: &[f32], base: usize) -> DecodeError {
    let within = block
        .iter()
        .position(|l| l.is_nan() || *l == f32::INFINITY)
        .expect("the caller saw a NaN or +inf in this block");
    DecodeError::BadLogit {
        token: base + within,
        value: block[within],
    }
}

/// `sum e^d`, `sum d e^d` and `sum d² e^d` over a row.
struct Sums {
    e: f64,
    e_d: f64,
    e_d2: f64,
}

impl Sums {
    fn of(logits: &[f32], max: f32) -> Self {
        let mut sums = Self {
            e: 0.0,
            e_d: 0.0,
            e_d2: 0.0,
        };
        for block in logits.chunks(BLOCK) {
            let mut lanes = [[0f32; LANES]; 3];
            let (chunks, rest) = block.as_chunks::<LANES>();
            let mut take = |values: &[f32; LANES]| {
                for lane in 0..LANES {
                    let d = (values[lane] - max).max(EXPONENT_MIN);
                    let e = exp_nonpositive(d);
                    lanes[0][lane] += e;
                    lanes[1][lane] += e * d;
                    lanes[2][lane] += e * d * d;
                }
            };
            chunks.iter().for_each(&mut take);
            if !rest.is_empty() {
                take(&from_fn(|lane| {
                    rest.get(lane).copied().unwrap_or(f32::NEG_INFINITY)
                }));
            }
            let total = |lane: [f32; LANES]| lane.into_iter().map(f64::from).sum::<f64>();
            sums.e += total(lanes[0]);
            sums.e_d += total(lanes[1]);
            sums.e_d2 += total(lanes[2]);
        }
        sums
    }
}

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
fn exp_nonpositive(x: f32) -> f32 {
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

    /// Qwen2.5's logits row.
    const V: usize = 151_936;
    /// What f32 terms summed in blocks may be off by, nats.
    const ENTROPY_TOLERANCE: f64 = 1e-5;

    fn agrees_with_f64(row: &[f32], label: &str) {
        let stats = RowStats::of(row).unwrap();
        let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let d = |l: f32| f64::from(l) - f64::from(max);
        let z: f64 = row.iter().map(|&l| d(l).exp()).sum();
        let surprisal = |l: f32| z.ln() - d(l);
        let mean = |f: &dyn Fn(f32) -> f64| -> f64 {
            row.iter()
                .filter(|l| l.is_finite())
                .map(|&l| d(l).exp() / z * f(l))
                .sum()
        };
        let entropy = mean(&surprisal);
        let varentropy = mean(&|l| (surprisal(l) - entropy).powi(2));
        let close = |name: &str, got: f64, want: f64, tolerance: f64| {
            assert!(
                (got - want).abs() <= tolerance,
                "{label}: {name} {got} but f64 gives {want}"
            );
        };
        close(
            "logsumexp",
            stats.logsumexp,
            f64::from(max) + z.ln(),
            ENTROPY_TOLERANCE,
        );
        close(
            "entropy",
            stats.entropy_nats.into(),
            entropy,
            ENTROPY_TOLERANCE,
        );
        // A second moment: its error scales with its size.
        close(
            "varentropy",
            stats.varentropy.into(),
            varentropy,
            1e-4 * (1.0 + varentropy),
        );
        close("top1_prob", stats.top1_prob.into(), 1.0 / z, 1e-6);
        let mut sorted = row.to_vec();
        sorted.sort_unstable_by(|a, b| b.total_cmp(a));
        close(
            "margin",
            stats.margin.into(),
            (1.0 - d(sorted[1]).exp()) / z,
            1e-6,
        );
        assert_eq!(row[stats.top1 as usize], max, "{label}: top1");
    }

    fn uniform_row(len: usize, spread: f32, seed: u64) -> Vec<f32> {
        use rand_chacha::rand_core::Rng;
        let mut stream = crate::base::RngKey::from_seed(seed).stream();
        (0..len)
            .map(|_| spread * (stream.next_u32() as f32 / u32::MAX as f32 - 0.5))
            .collect()
    }

    #[test]
    fn figures_agree_with_an_f64_reference_on_rows_of_real_size() {
        for (seed, spread) in [0.01, 1.0, 8.0, 20.0, 40.0, 200.0].into_iter().enumerate() {
            agrees_with_f64(
                &uniform_row(V, spread, seed as u64),
                &format!("spread {spread}"),
            );
        }
        for len in [2, 15, 16, 17, 1_023, 1_025, 4_097] {
            agrees_with_f64(
                &uniform_row(len, 10.0, len as u64),
                &format!("{len} logits"),
            );
        }
    }

    #[test]
    fn figures_agree_with_an_f64_reference_on_extreme_rows() {
        let mut huge = uniform_row(V, 10.0, 9);
        huge[77_777] = 30_000.0;
        agrees_with_f64(&huge, "one huge logit");
        agrees_with_f64(&vec![-1e30; V], "all equal and far from 0");
        let mut holes = uniform_row(V, 10.0, 10);
        holes
            .iter_mut()
            .skip(1)
            .step_by(2)
            .for_each(|l| *l = f32::NEG_INFINITY);
        agrees_with_f64(&holes, "every second logit -inf");
        let mut two = vec![f32::NEG_INFINITY; V];
        (two[3], two[151_935]) = (4.0, 4.0);
        agrees_with_f64(&two, "two of all");
        // A high floor under one peak: nearly all mass is in tiny terms.
        let mut floor = vec![-11.0; V];
        floor[0] = 0.0;
        agrees_with_f64(&floor, "a peak over a heavy floor");
    }

    #[test]
    fn equal_logits_have_the_entropy_ln_v() {
        let stats = RowStats::of(&vec![3.5; V]).unwrap();
        assert!((f64::from(stats.entropy_nats) - (V as f64).ln()).abs() < 1e-6);
        assert_eq!((stats.varentropy, stats.margin, stats.top1), (0.0, 0.0, 0));
    }

    #[test]
    fn logprob_is_the_logit_over_the_normaliser() {
        let row = [0.0, 1.0, f32::NEG_INFINITY];
        let stats = RowStats::of(&row).unwrap();
        let total: f32 = (0..2).map(|t| logprob(&row, &stats, t).exp()).sum();
        assert!((total - 1.0).abs() < 1e-6);
        assert_eq!(logprob(&row, &stats, 2), f32::NEG_INFINITY);
        assert_eq!(logprob(&row, &stats, 3), f32::NEG_INFINITY, "past the row");
    }

    /// `cargo test --release decode::row -- --ignored --nocapture`
    #[test]
    #[ignore = "prints timings; asserts nothing that a busy machine could break"]
    fn time_of_one_row() {
        use std::time::Instant;
        let row = uniform_row(V, 20.0, 1);
        let stats = RowStats::of(&row).unwrap();
        let time = |label: &str, f: &dyn Fn(u64)| {
            let mut us: Vec<f64> = (0..200)
                .map(|i| {
                    let start = Instant::now();
                    f(i);
                    start.elapsed().as_secs_f64() * 1e6
                })
                .collect();
            us.sort_unstable_by(f64::total_cmp);
            println!("{label}: {:.0} us median, {:.0} us at best", us[100], us[0]);
        };
        time("RowStats::of", &|_| {
            std::hint::black_box(RowStats::of(std::hint::black_box(&row)).unwrap());
        });
        let dense = Mask::from_words(vec![0x7fff_ffff; V / 32], V);
        time("masked_entropy, 31 of 32 allowed", &|_| {
            std::hint::black_box(masked_entropy(&row, &dense));
        });
        use crate::base::SamplerSettings;
        let settings = SamplerSettings::at(0.8);
        let truncated = [
            ("temperature", settings),
            (
                "top_k 40",
                SamplerSettings {
                    top_k: 40,
                    ..settings
                },
            ),
            (
                "top_p 0.95",
                SamplerSettings {
                    top_p: 0.95,
                    ..settings
                },
            ),
            (
                "min_p 0.05",
                SamplerSettings {
                    min_p: 0.05,
                    ..settings
                },
            ),
        ];
        for (label, settings) in truncated {
            for (mask_label, mask) in [("", None), (", masked", Some(&dense))] {
                time(&format!("sample, {label}{mask_label}"), &|i| {
                    let u = i as f64 / 200.0;
                    std::hint::black_box(super::super::sample(
                        &row,
                        &stats,
                        &settings,
                        mask,
                        &[],
                        u,
                    ));
                });
            }
        }
    }

    #[test]
    fn top_two_are_found_across_blocks_and_in_ragged_tails() {
        for len in [1, 2, 15, 17, 1_023, 1_025, 5_000] {
            for at in [0, len / 2, len - 1] {
                let mut row = vec![-1.0; len];
                row[at] = 3.0;
                let top = TopTwo::of(&row).unwrap();
                assert_eq!((top.first, top.index), (3.0, at));
                assert_eq!(top.second, if len == 1 { f32::NEG_INFINITY } else { -1.0 });
            }
        }
        // Equal tops: the lowest id, and no margin.
        let top = TopTwo::of(&[0.0, 7.0, 7.0]).unwrap();
        assert_eq!((top.first, top.second, top.index), (7.0, 7.0, 1));
    }

    #[test]
    fn broken_rows_are_errors_that_name_the_logit() {
        let mut row = vec![0.5; 3_000];
        assert_eq!(RowStats::of(&[]), Err(DecodeError::EmptyRow));
        assert_eq!(
            RowStats::of(&[f32::NEG_INFINITY; 40]),
            Err(DecodeError::NoFiniteLogit)
        );
        row[2_999] = f32::INFINITY;
        let error = RowStats::of(&row).unwrap_err();
        assert!(
            error.to_string().starts_with("logit 2999 is inf"),
            "{error}"
        );
        for at in [0, 1_500, 2_990] {
            row[at] = f32::NAN;
            let error = RowStats::of(&row).unwrap_err();
            assert!(
                error.to_string().starts_with(&format!("logit {at} is NaN")),
                "{error}"
            );
            row[at] = 0.0;
        }
    }
}
