//! Intervals and tests for comparisons over tasks.
//!
//! A task is the unit that is drawn: runs of one task with several seeds are alike,
//! so they go into a resample together or not at all.
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
