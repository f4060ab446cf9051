//! How well a score tells what fails from what passes.
use super::observation::TaskRows;
use crate::eval::statistics::{Estimate, auroc, bootstrap};
use serde::Serialize;

/// The AUROC within a range of lengths.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stratum {
    /// The shortest and the longest, tokens.
    pub tokens: [u32; 2],
    pub n: usize,
    /// `None` where one outcome is missing.
    pub auroc: Option<Estimate>,
}

/// The chance that something that fails has a higher score than something that passes,
/// with an interval over tasks.
pub(super) fn pooled(tasks: &[TaskRows], seed: u64) -> Option<Estimate> {
    let scored = |task: &TaskRows| -> Vec<(f64, bool)> {
        task.iter().map(|o| (o.score, o.failing)).collect()
    };
    let tasks: Vec<_> = tasks.iter().map(scored).filter(|t| !t.is_empty()).collect();
    bootstrap(&tasks, seed, |drawn| {
        let all: Vec<(f64, bool)> = drawn.iter().flat_map(|task| task.iter().copied()).collect();
        auroc(&all)
    })
}

/// An AUROC over pairs of one task.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct WithinTask {
    pub estimate: Estimate,
    pub n_pairs: usize,
    /// Tasks with both outcomes, which the pairs are of.
    pub n_tasks: usize,
}

/// Intervals over fewer tasks than this are not relied on: that all of six lie on one
/// side of a half by chance happens in 2^-6 = 1.6 % of cases, less than the 2.5 % beyond
/// an end of an interval; of five in 3.1 %.
pub(super) const TASKS_MIN: usize = 6;

impl WithinTask {
    /// True where there are tasks enough to rely on the interval.
    pub fn is_reliable(&self) -> bool {
        self.n_tasks >= TASKS_MIN
    }
}

/// The same over pairs of one task only, so that a task that is hard and uncertain as a
/// whole does not count. `None` where no task has both outcomes.
pub(super) fn within_task(tasks: &[TaskRows], seed: u64) -> Option<WithinTask> {
    let tasks: Vec<(f64, f64)> = tasks.iter().filter_map(won_pairs).collect();
    let n_pairs: f64 = tasks.iter().map(|(_, pairs)| pairs).sum();
    let estimate = bootstrap(&tasks, seed, |drawn| {
        let (won, pairs) = (drawn.iter()).fold((0.0, 0.0), |(w, p), t| (w + t.0, p + t.1));
        (pairs > 0.0).then(|| won / pairs)
    })?;
    Some(WithinTask {
        estimate,
        n_pairs: n_pairs as usize,
        n_tasks: tasks.len(),
    })
}

/// Pairs of a task, and those in which what fails scores higher.
fn won_pairs(task: &TaskRows) -> Option<(f64, f64)> {
    let scored: Vec<(f64, bool)> = task.iter().map(|o| (o.score, o.failing)).collect();
    let n_failing = task.iter().filter(|o| o.failing).count();
    let pairs = (n_failing * (task.len() - n_failing)) as f64;
    Some((auroc(&scored)? * pairs, pairs))
}

/// The AUROC in each third by length, shortest first. Equal lengths stay together.
pub(super) fn by_length(tasks: &[TaskRows], seed: u64) -> Vec<Stratum> {
    let mut lengths: Vec<f64> = tasks.iter().flatten().map(|o| o.log_length).collect();
    lengths.sort_by(f64::total_cmp);
    if lengths.is_empty() {
        return Vec::new();
    }
    let third = |k: usize| lengths[lengths.len() * k / 3];
    let mut from = f64::NEG_INFINITY;
    let mut strata = Vec::new();
    for (k, below) in [third(1), third(2), f64::INFINITY].into_iter().enumerate() {
        let is_in = |length: f64| from <= length && length < below;
        let own: Vec<f64> = lengths.iter().copied().filter(|&l| is_in(l)).collect();
        if let (Some(&first), Some(&last)) = (own.first(), own.last()) {
            let rows = |task: &TaskRows| -> TaskRows {
                let own = task.iter().filter(|o| is_in(o.log_length));
                own.copied().collect()
            };
            let rows: Vec<TaskRows> = tasks.iter().map(rows).collect();
            strata.push(Stratum {
                tokens: [first, last].map(|l| l.exp().round() as u32),
                n: own.len(),
                auroc: pooled(&rows, seed + k as u64),
            });
        }
        from = below;
    }
    strata
}

#[cfg(test)]
mod tests {
    use super::super::observation::Observation;
    use super::*;
    use crate::base::RngKey;

    fn row(score: f64, failing: bool, tokens: u32) -> Observation {
        Observation {
            failing,
            score,
            log_length: f64::from(tokens).ln(),
            syntax_share: 0.0,
        }
    }

    #[test]
    fn a_score_that_decides_has_one_and_noise_has_an_interval_around_a_half() {
        let decides: Vec<TaskRows> = (0..8)
            .map(|t| vec![row(0.1, false, 10), row(1.0 + f64::from(t), true, 10)])
            .collect();
        let found = pooled(&decides, 1).unwrap();
        assert_eq!((found.value, found.low, found.high), (1.0, 1.0, 1.0));
        let uniform = |t, i| RngKey::from_seed(3).split(t).split(i).uniform();
        let noise: Vec<TaskRows> = (0..30)
            .map(|t| (0..8).map(|i| row(uniform(t, i), i % 2 == 0, 10)).collect())
            .collect();
        for found in [
            pooled(&noise, 1).unwrap(),
            within_task(&noise, 1).unwrap().estimate,
        ] {
            assert!(found.low < 0.5 && found.high > 0.5, "{found:?}");
            assert!(found.high - found.low < 0.3, "{found:?}");
        }
    }

    #[test]
    fn within_a_task_what_only_tells_tasks_apart_counts_nothing() {
        // A hard task with high scores and an easy one with low ones, the same score
        // throughout within each.
        let mostly = |score: f64, failing: bool| {
            let mut rows = vec![row(score, failing, 10); 9];
            rows.push(row(score, !failing, 10));
            rows
        };
        let tasks = [
            mostly(2.0, true),
            mostly(0.5, false),
            vec![row(9.0, true, 10)],
        ];
        assert!(pooled(&tasks, 1).unwrap().value > 0.8);
        let within = within_task(&tasks, 1).unwrap();
        assert_eq!(
            (within.estimate.value, within.n_pairs, within.n_tasks),
            (0.5, 18, 2)
        );
        assert!(!within.is_reliable(), "of two tasks");
        assert_eq!(within_task(&tasks[2..], 1), None);
    }

    #[test]
    fn thirds_by_length_hold_equal_lengths_together() {
        let task: TaskRows = [10, 10, 10, 20, 30, 40]
            .iter()
            .enumerate()
            .map(|(i, &tokens)| row(i as f64, i % 2 == 1, tokens))
            .collect();
        let strata = by_length(&[task], 1);
        let ranges: Vec<_> = strata.iter().map(|s| (s.tokens, s.n)).collect();
        // The first third's bound falls among the tens, so nothing is below it.
        assert_eq!(ranges, [([10, 20], 4), ([30, 40], 2)]);
        assert_eq!(by_length(&[], 1), []);
    }
}
