//! What entropy adds to length and syntax on tasks that nothing was fitted on.
use super::controlled::Model;
use super::observation::{Observation, TaskRows};
use crate::eval::statistics::{Estimate, auroc, bootstrap};
use serde::Serialize;

/// Fewer predictions than this a bin say little of the share that passes.
const PER_BIN_MIN: usize = 10;
const BINS_MAX: usize = 5;

/// Both directions, and the two together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HeldOut {
    /// Fitted on the first half and reported on the second; the other way round.
    pub directions: Vec<Direction>,
    /// Of the directions' AUROCs: their mean.
    pub with_score: Option<Estimate>,
    pub without_score: Option<Estimate>,
    /// What the score adds to the mean.
    pub gain: Option<Estimate>,
    /// Held-out predictions with the score against what came out, least hopeful first.
    pub curve: Vec<CurveBin>,
}

/// A model fitted on one half of the tasks and tried on the other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Direction {
    pub fitted_tasks: usize,
    pub tried_tasks: usize,
    pub n_tried: usize,
    /// AUROC of the predicted chance to fail; `None` where a half lacks an outcome.
    pub with_score: Option<Estimate>,
    /// The same of a model of length and syntax alone.
    pub without_score: Option<Estimate>,
    /// What the score adds.
    pub gain: Option<Estimate>,
}

/// Held-out predictions of a like height.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CurveBin {
    pub n: usize,
    /// The mean predicted chance to pass.
    pub predicted: f64,
    /// The share that passed.
    pub passed: f64,
}

/// One held-out row.
#[derive(Clone, Copy, Debug)]
struct Tried {
    in_first: bool,
    failing: bool,
    /// Predicted chances to fail.
    with: f64,
    without: f64,
}

/// `in_first` says of each task which half it is of.
pub(super) fn held_out(tasks: &[TaskRows], in_first: &[bool], seed: u64) -> HeldOut {
    let half = |is_first: bool| -> Vec<&TaskRows> {
        let own = tasks.iter().zip(in_first);
        own.filter(|(rows, first)| **first == is_first && !rows.is_empty())
            .map(|(rows, _)| rows)
            .collect()
    };
    let mut directions = Vec::new();
    let mut all: Vec<Vec<Tried>> = Vec::new();
    for fitted_on_first in [true, false] {
        let (fitted, tried) = (half(fitted_on_first), half(!fitted_on_first));
        let predicted = predicted(&fitted, &tried, !fitted_on_first).unwrap_or_default();
        directions.push(Direction {
            fitted_tasks: fitted.len(),
            tried_tasks: tried.len(),
            n_tried: tried.iter().map(|rows| rows.len()).sum(),
            with_score: estimate(&predicted, seed, |rows| area(rows, |t| t.with)),
            without_score: estimate(&predicted, seed, |rows| area(rows, |t| t.without)),
            gain: estimate(&predicted, seed, |rows| {
                Some(area(rows, |t| t.with)? - area(rows, |t| t.without)?)
            }),
        });
        all.extend(predicted);
    }
    HeldOut {
        directions,
        with_score: estimate(&all, seed, |rows| mean_area(rows, |t| t.with)),
        without_score: estimate(&all, seed, |rows| mean_area(rows, |t| t.without)),
        gain: estimate(&all, seed, |rows| {
            Some(mean_area(rows, |t| t.with)? - mean_area(rows, |t| t.without)?)
        }),
        curve: curve(all.into_iter().flatten().collect()),
    }
}

/// The rows of `tried` as models fitted on `fitted` see them, by task.
fn predicted(fitted: &[&TaskRows], tried: &[&TaskRows], in_first: bool) -> Option<Vec<Vec<Tried>>> {
    let rows = || fitted.iter().flat_map(|rows| rows.iter());
    let with = Model::<4>::fitted(rows())?;
    let without = Model::<3>::fitted(rows())?;
    let row = |o: &Observation| Tried {
        in_first,
        failing: o.failing,
        with: with.predict(o),
        without: without.predict(o),
    };
    let task = |rows: &&TaskRows| rows.iter().map(row).collect();
    Some(tried.iter().map(task).collect())
}

/// A figure of held-out rows with its interval over tasks. The models stay as they are.
fn estimate(
    tasks: &[Vec<Tried>],
    seed: u64,
    figure: impl Fn(&[Tried]) -> Option<f64>,
) -> Option<Estimate> {
    bootstrap(tasks, seed, |drawn| {
        let rows: Vec<Tried> = drawn.iter().flat_map(|rows| rows.iter().copied()).collect();
        figure(&rows)
    })
}

fn area(rows: &[Tried], of: fn(&Tried) -> f64) -> Option<f64> {
    let scored: Vec<(f64, bool)> = rows.iter().map(|t| (of(t), t.failing)).collect();
    auroc(&scored)
}

/// Predictions of two models are not compared with each other.
fn mean_area(rows: &[Tried], of: fn(&Tried) -> f64) -> Option<f64> {
    let (first, second): (Vec<Tried>, Vec<Tried>) = rows.iter().partition(|t| t.in_first);
    Some((area(&first, of)? + area(&second, of)?) / 2.0)
}

/// Bins of as many predictions each.
fn curve(mut rows: Vec<Tried>) -> Vec<CurveBin> {
    let n_bins = (rows.len() / PER_BIN_MIN).clamp(1, BINS_MAX);
    rows.sort_by(|a, b| b.with.total_cmp(&a.with));
    (0..n_bins)
        .map(|i| &rows[rows.len() * i / n_bins..rows.len() * (i + 1) / n_bins])
        .filter(|bin| !bin.is_empty())
        .map(|bin| {
            let n = bin.len() as f64;
            CurveBin {
                n: bin.len(),
                predicted: bin.iter().map(|t| 1.0 - t.with).sum::<f64>() / n,
                passed: bin.iter().filter(|t| !t.failing).count() as f64 / n,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::RngKey;

    /// Tasks whose rows fail where their score is high, as often as `weight` has it.
    fn tasks(weight: f64) -> Vec<TaskRows> {
        let row = |key: RngKey| {
            let score = 4.0 * key.split(1).uniform() - 2.0;
            Observation {
                failing: key.split(2).uniform() < 1.0 / (1.0 + (-weight * score).exp()),
                score,
                log_length: key.split(3).uniform(),
                syntax_share: key.split(4).uniform(),
            }
        };
        let task = |t| {
            (0..10)
                .map(|i| row(RngKey::from_seed(8).split(t).split(i)))
                .collect()
        };
        (0..30).map(task).collect()
    }

    #[test]
    fn a_score_that_tells_adds_to_what_is_held_out_and_noise_does_not() {
        let in_first: Vec<bool> = (0..30).map(|t| t % 2 == 0).collect();
        let tells = held_out(&tasks(3.0), &in_first, 1);
        let gain = tells.gain.unwrap();
        assert!(gain.low > 0.2, "{gain:?}");
        let without = tells.without_score.unwrap();
        assert!(without.low < 0.5 && without.high > 0.5, "{without:?}");
        let noise = held_out(&tasks(0.0), &in_first, 1).gain.unwrap();
        assert!(noise.low < 0.0 && noise.high > 0.0, "{noise:?}");
        let sizes: Vec<_> = (tells.directions.iter())
            .map(|d| (d.fitted_tasks, d.tried_tasks, d.n_tried))
            .collect();
        assert_eq!(sizes, [(15, 15, 150), (15, 15, 150)]);
        // Predictions of a model that is right are about what comes out.
        assert_eq!(tells.curve.iter().map(|bin| bin.n).sum::<usize>(), 300);
        assert!(
            tells
                .curve
                .iter()
                .all(|bin| (bin.predicted - bin.passed).abs() < 0.15)
        );
        assert!(tells.curve.is_sorted_by_key(|bin| bin.predicted));
    }

    #[test]
    fn a_prediction_comes_from_the_other_half_only() {
        // High scores fail in the first half and pass in the second: whatever is fitted
        // on one is wrong of all of the other.
        let row = |score: f64, failing| Observation {
            failing,
            score,
            log_length: 1.0,
            syntax_share: 0.0,
        };
        let first: TaskRows = vec![row(1.0, true), row(0.0, false)];
        let second: TaskRows = vec![row(1.0, false), row(0.0, true)];
        let found = held_out(
            &[first.clone(), second, first[..1].to_vec()],
            &[true, false, true],
            1,
        );
        assert_eq!(found.with_score.unwrap().value, 0.0);
        let alone = held_out(&[first], &[true], 1);
        assert_eq!((alone.gain, alone.curve), (None, vec![]));
    }
}
