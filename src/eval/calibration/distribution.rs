//! How a signal spreads over steps, and thresholds as its quantiles.
use super::sample::TaskSamples;
use super::score::Score;
use crate::base::quantile;
use serde::Serialize;

/// The quantiles that are reported.
pub const QUANTILES: [f64; 5] = [0.5, 0.75, 0.8, 0.9, 0.95];

/// More bins than this are not told apart in a chart.
const BINS_MAX: usize = 24;

/// A signal over the steps at which a gate would have looked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Distribution {
    pub score: Score,
    /// Steps at which it was measured.
    pub n: usize,
    /// Nats.
    pub mean: f64,
    /// `(quantile, nats)`.
    pub quantiles: Vec<(f64, f64)>,
    /// Bin `i` holds `[i, i + 1)` times this, nats.
    pub bin_nats: f64,
    pub bins: Vec<Bin>,
}

/// Steps by what came of the trajectories that they lie on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bin {
    pub passed: usize,
    pub failed: usize,
    pub unknown: usize,
}

impl Bin {
    pub fn n(&self) -> usize {
        self.passed + self.failed + self.unknown
    }
}

impl Distribution {
    /// `None` where the signal was measured at no step.
    pub(super) fn of(tasks: &[TaskSamples], score: Score) -> Option<Self> {
        let steps = tasks.iter().flat_map(|task| &task.steps);
        let measured: Vec<(f64, Option<bool>)> = steps
            .filter_map(|step| Some((step.first.as_ref()?.score(score)?, step.resolved)))
            .collect();
        let values = sorted(measured.iter().map(|m| m.0));
        let largest = *values.last()?;
        let bin_nats = width(largest);
        let mut bins = vec![Bin::default(); (largest / bin_nats) as usize + 1];
        for (nats, resolved) in &measured {
            let bin = &mut bins[(nats.max(0.0) / bin_nats) as usize];
            match resolved {
                Some(true) => bin.passed += 1,
                Some(false) => bin.failed += 1,
                None => bin.unknown += 1,
            }
        }
        Some(Self {
            score,
            n: values.len(),
            mean: values.iter().sum::<f64>() / values.len() as f64,
            quantiles: QUANTILES.map(|q| (q, quantile(&values, q))).to_vec(),
            bin_nats,
            bins,
        })
    }
}

/// The signal at each step of each task at which a gate would have looked, in order.
pub(super) fn gated_nats<'a>(
    tasks: impl Iterator<Item = &'a TaskSamples>,
    score: Score,
) -> Vec<f64> {
    let steps = tasks.flat_map(|task| &task.steps);
    sorted(steps.filter_map(|step| step.first.as_ref()?.score(score)))
}

/// The share of steps that a gate with this threshold rolls out; `None` without steps.
pub(super) fn share_from(sorted: &[f64], threshold: f64) -> Option<f64> {
    let n = sorted.len() as f64;
    let below = sorted.partition_point(|&nats| nats < threshold) as f64;
    (n > 0.0).then(|| (n - below) / n)
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// 1, 2 or 5 times a power of ten, as small as the number of bins allows.
fn width(largest: f64) -> f64 {
    let widths = (-3i32..).flat_map(|power| [1.0, 2.0, 5.0].map(|n| n * 10f64.powi(power)));
    let mut fits = widths.skip_while(|width| largest / width >= BINS_MAX as f64);
    fits.next().expect("widths grow without end")
}

#[cfg(test)]
mod tests {
    use super::super::sample::{ActionFigures, StepSample};
    use super::*;
    use crate::base::GateSignal;

    fn step(nats: f64, is_first: bool, resolved: Option<bool>) -> StepSample {
        let mut taken = ActionFigures::default();
        taken.signals_nats[GateSignal::ArgsMax.index()] = Some(nats);
        StepSample {
            first: is_first.then(|| taken.clone()),
            taken,
            resolved,
        }
    }

    #[test]
    fn a_quantile_leaves_its_share_at_or_above_it() {
        let values: Vec<f64> = (1..=10).map(f64::from).collect();
        assert_eq!(quantile(&values, 0.8), 9.0);
        assert_eq!(share_from(&values, 9.0), Some(0.2));
        assert_eq!(
            (quantile(&values, 0.0), quantile(&values, 1.0)),
            (1.0, 10.0)
        );
        assert_eq!(share_from(&values, 11.0), Some(0.0));
        assert_eq!(share_from(&[], 1.0), None);
    }

    #[test]
    fn a_distribution_counts_each_decision_once_by_what_came_of_it() {
        let steps = vec![
            step(0.05, true, Some(true)),
            step(0.31, true, Some(false)),
            step(2.0, true, None),
            // Another action at a point that was decided before.
            step(9.0, false, Some(false)),
        ];
        let tasks = [TaskSamples {
            steps,
            ..TaskSamples::default()
        }];
        let found = Distribution::of(&tasks, GateSignal::ArgsMax.into()).unwrap();
        assert_eq!((found.n, found.bin_nats, found.bins.len()), (3, 0.1, 21));
        assert_eq!(found.bins[0].passed, 1);
        assert_eq!(found.bins[3].failed, 1);
        assert_eq!(found.bins[20].unknown, 1);
        assert!((found.mean - 2.36 / 3.0).abs() < 1e-12);
        assert_eq!(found.quantiles[0], (0.5, 0.31));
        assert_eq!(Distribution::of(&tasks, GateSignal::Vote.into()), None);
    }
}
