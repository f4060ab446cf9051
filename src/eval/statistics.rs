//! Intervals and tests for comparisons over tasks.
//!
//! A task is the unit that is drawn: runs of one task with several seeds are alike,
//! so they go into a resample together or not at all, and count as one trial.
use crate::base::RngKey;
use serde::Serialize;

/// Resamples behind an interval. The ends of a 95 % interval of 4,000 move by about a
/// twentieth of its width between seeds.
const RESAMPLES: u64 = 4_000;

/// A figure with the ends of its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

/// `figure` of the tasks, with a percentile bootstrap interval over tasks (Efron and
/// Tibshirani 1993, chapter 13). `figure` is given as many tasks as there are, drawn
/// with replacement; resamples for which it is `None` are left out.
///
/// `None` where it is `None` of the tasks themselves.
pub fn bootstrap<T>(
    tasks: &[T],
    seed: u64,
    figure: impl Fn(&[&T]) -> Option<f64>,
) -> Option<Estimate> {
    let all: Vec<&T> = tasks.iter().collect();
    let value = figure(&all)?;
    let key = RngKey::from_seed(seed);
    let mut drawn = Vec::with_capacity(tasks.len());
    let mut figures: Vec<f64> = (0..RESAMPLES)
        .filter_map(|resample| {
            let key = key.split(resample);
            drawn.clear();
            drawn.extend((0..tasks.len() as u64).map(|i| {
                let at = key.split(i).uniform() * tasks.len() as f64;
                &tasks[at as usize]
            }));
            figure(&drawn)
        })
        .collect();
    figures.sort_by(f64::total_cmp);
    let quantile = |q: f64| figures[(q * (figures.len() - 1) as f64).round() as usize];
    Some(match figures.is_empty() {
        true => Estimate {
            value,
            low: value,
            high: value,
        },
        false => Estimate {
            value,
            low: quantile(0.025),
            high: quantile(0.975),
        },
    })
}

/// The normal distribution's quantile behind an interval of 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// The mean of `values` in `[0, 1]`, those of all runs, with a score interval (Wilson 1927)
/// of as many trials as there are `tasks`.
///
/// A bootstrap has no width where all runs ended alike, as if 0 of 20 were certain; this
/// says 0 to 16 %. Runs of one task count as one trial, and a number between 0 and 1 varies
/// less than an outcome with its mean, so the interval is rather too wide than too narrow.
///
/// `None` of no value.
pub fn share(values: impl IntoIterator<Item = f64>, tasks: usize) -> Option<Estimate> {
    let (n, sum) = values
        .into_iter()
        .fold((0u32, 0.0), |(n, sum), value| (n + 1, sum + value));
    let value = (n > 0).then(|| sum / f64::from(n))?;
    let n = tasks as f64;
    let middle = (value + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (value * (1.0 - value) / n + (Z / (2.0 * n)).powi(2)).sqrt();
    Some(Estimate {
        value,
        // The formula's own ends of 0 and of 1, but for a rounding.
        low: (middle - half).clamp(0.0, value),
        high: (middle + half).clamp(value, 1.0),
    })
}

/// The mean of the first numbers of all runs' `pairs` less that of the second ones, all in
/// `[0, 1]`, with the interval of Newcombe's method 10 (1998, Statistics in Medicine 17,
/// 2635-2650): the two [`share`] intervals, joined by how the pairs go together.
///
/// `None` of no pair.
pub fn paired_difference(pairs: &[(f64, f64)], tasks: usize) -> Option<Estimate> {
    let first = share(pairs.iter().map(|pair| pair.0), tasks)?;
    let second = share(pairs.iter().map(|pair| pair.1), tasks)?;
    let both = pairs.iter().map(|pair| pair.0 * pair.1).sum::<f64>() / pairs.len() as f64;
    let together = both - first.value * second.value;
    // Equal outcomes of few tasks are not taken for equal ones of all.
    let together = match together > 0.0 {
        true => (together - 0.5 / tasks as f64).max(0.0),
        false => together,
    };
    let spread = |e: Estimate| e.value * (1.0 - e.value);
    let norm = (spread(first) * spread(second)).sqrt();
    let phi = if norm > 0.0 { together / norm } else { 0.0 };
    let joined = |a: f64, b: f64| (a * a - 2.0 * phi * a * b + b * b).max(0.0).sqrt();
    let value = first.value - second.value;
    Some(Estimate {
        value,
        low: value - joined(first.value - first.low, second.high - second.value),
        high: value + joined(first.high - first.value, second.value - second.low),
    })
}

/// McNemar's exact test (McNemar 1947): the two-sided p-value of `only_a` pairs that
/// only the first got right and `only_b` that only the second did, if both are equally
/// good. 1 where they differ in no pair.
pub fn mcnemar_p(only_a: u32, only_b: u32) -> f64 {
    let n = only_a + only_b;
    let fewer = only_a.min(only_b);
    // Sums of binomials by logarithms: 2^-n alone underflows from 1,075 on.
    let mut log_term = -f64::from(n) * std::f64::consts::LN_2;
    let mut tail = 0.0;
    for k in 0..=fewer {
        tail += log_term.exp();
        log_term += (f64::from(n - k) / f64::from(k + 1)).ln();
    }
    (2.0 * tail).min(1.0)
}

/// The chance that a positive's score is above a negative's, ties counted half: the
/// area under the ROC curve, as Mann and Whitney's U. `None` without one of each.
///
/// Cost: a sort.
pub fn auroc(scored: &[(f64, bool)]) -> Option<f64> {
    let n_positive = scored.iter().filter(|s| s.1).count() as f64;
    let n_negative = scored.len() as f64 - n_positive;
    if n_positive == 0.0 || n_negative == 0.0 {
        return None;
    }
    let mut sorted = scored.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut rank = 0.0;
    let mut rank_sum = 0.0;
    for tied in sorted.chunk_by(|a, b| a.0 == b.0) {
        let mean_rank = rank + (tied.len() as f64 + 1.0) / 2.0;
        rank_sum += mean_rank * tied.iter().filter(|s| s.1).count() as f64;
        rank += tied.len() as f64;
    }
    Some((rank_sum - n_positive * (n_positive + 1.0) / 2.0) / (n_positive * n_negative))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(values: &[&f64]) -> Option<f64> {
        Some(values.iter().copied().sum::<f64>() / values.len() as f64)
    }

    #[test]
    fn an_interval_of_a_mean_is_that_of_the_normal_approximation() {
        let values: Vec<f64> = (0..100).map(|i| f64::from(u8::from(i % 10 < 3))).collect();
        let estimate = bootstrap(&values, 1, mean).unwrap();
        let half = 1.96 * (0.3f64 * 0.7 / 100.0).sqrt();
        assert!((estimate.value - 0.3).abs() < 1e-12);
        assert!((estimate.low - (0.3 - half)).abs() < 0.02, "{estimate:?}");
        assert!((estimate.high - (0.3 + half)).abs() < 0.02, "{estimate:?}");
        assert_eq!(bootstrap(&values, 1, mean), Some(estimate), "by its seed");
    }

    #[test]
    fn an_interval_covers_the_truth_about_as_often_as_it_says() {
        // Forty means of thirty uniform numbers each: 95 % of 40 is 38.
        let covered = (0..40).filter(|&sample| {
            let key = RngKey::from_seed(99).split(sample);
            let values: Vec<f64> = (0..30).map(|i| key.split(i).uniform()).collect();
            let estimate = bootstrap(&values, sample, mean).unwrap();
            estimate.low <= 0.5 && 0.5 <= estimate.high
        });
        let covered = covered.count();
        assert!((34..=40).contains(&covered), "{covered} of 40");
    }

    #[test]
    fn a_figure_that_some_resamples_lack_has_an_interval_of_the_others() {
        let scored = [(0.1, false), (0.9, true)];
        let of = |drawn: &[&(f64, bool)]| auroc(&drawn.iter().map(|s| **s).collect::<Vec<_>>());
        let estimate = bootstrap(&scored, 3, of).unwrap();
        assert_eq!((estimate.low, estimate.high), (1.0, 1.0));
        assert_eq!(bootstrap(&scored[..1], 3, of), None);
    }

    #[test]
    fn a_share_of_none_or_of_all_is_not_certain() {
        let of = |right: usize, n: usize| {
            let values = (0..n).map(|i| f64::from(u8::from(i < right)));
            share(values, n).unwrap()
        };
        // Of none the upper end is z² / (n + z²).
        for (right, n, low, high) in [
            (0, 20, 0.0, 0.161_125),
            (20, 20, 0.838_875, 1.0),
            (5, 10, 0.236_593, 0.763_407),
            (1, 1, 0.206_549, 1.0),
        ] {
            let found = of(right, n);
            assert!((found.low - low).abs() < 1e-6, "{right} of {n}: {found:?}");
            assert!(
                (found.high - high).abs() < 1e-6,
                "{right} of {n}: {found:?}"
            );
        }
        assert_eq!(share([], 0), None);
        // Three runs of each of ten tasks are ten trials.
        let thirty = share([1.0, 0.0].into_iter().cycle().take(30), 10).unwrap();
        assert_eq!(thirty, of(5, 10));
    }

    #[test]
    fn a_difference_of_equal_outcomes_is_not_certain() {
        let none = paired_difference(&[(0.0, 0.0); 20], 20).unwrap();
        assert_eq!(none.value, 0.0);
        assert!((none.low + 0.161_125).abs() < 1e-6, "{none:?}");
        assert!((none.high - 0.161_125).abs() < 1e-6, "{none:?}");
        let half: Vec<(f64, f64)> = (0..20)
            .map(|i| (f64::from(i % 2), f64::from(i % 2)))
            .collect();
        let half = paired_difference(&half, 20).unwrap();
        assert!(half.low < -0.02 && half.high > 0.02, "{half:?}");
        assert_eq!(paired_difference(&[], 0), None);
    }

    #[test]
    fn a_paired_interval_covers_the_truth_about_as_often_as_it_says() {
        // A first that is right three times in ten, a second wherever the first is and one
        // time in ten beside it: a difference of -0.07.
        let covered = (0..400).filter(|&sample| {
            let key = RngKey::from_seed(7).split(sample);
            let right =
                |at: u64, chance: f64| f64::from(u8::from(key.split(at).uniform() < chance));
            let pairs: Vec<(f64, f64)> = (0..40)
                .map(|i| (right(2 * i, 0.3), right(2 * i + 1, 0.1)))
                .map(|(first, beside)| (first, first.max(beside)))
                .collect();
            let estimate = paired_difference(&pairs, 40).unwrap();
            estimate.low <= -0.07 && -0.07 <= estimate.high
        });
        let covered = covered.count();
        // 95 % of 400 is 380; the method is known to be a little too wide here.
        assert!((372..=400).contains(&covered), "{covered} of 400");
    }

    #[test]
    fn mcnemars_p_is_the_binomial_tail() {
        // Of R's binom.test(1, 9)$p.value, binom.test(8, 20)$p.value.
        assert!((mcnemar_p(1, 8) - 0.0390625).abs() < 1e-12);
        assert!((mcnemar_p(8, 12) - 0.503_444_671_630_859_4).abs() < 1e-12);
        assert_eq!(mcnemar_p(0, 0), 1.0);
        assert_eq!(mcnemar_p(5, 5), 1.0);
        assert!(mcnemar_p(0, 2_000) < 1e-300);
    }

    #[test]
    fn auroc_counts_pairs_and_ties_half() {
        let scored = [(0.1, false), (0.4, true), (0.4, false), (0.8, true)];
        // Pairs: 0.4 over 0.1, 0.4 with 0.4, 0.8 over both: 3.5 of 4.
        assert_eq!(auroc(&scored), Some(3.5 / 4.0));
        assert_eq!(auroc(&[(1.0, true)]), None);
        let reversed: Vec<(f64, bool)> = scored.iter().map(|s| (-s.0, s.1)).collect();
        assert_eq!(auroc(&reversed), Some(0.5 / 4.0));
    }
}
