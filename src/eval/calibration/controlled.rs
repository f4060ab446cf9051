//! A score's weight beside length and syntax.
use super::logistic::{RIDGE, Row, fit, predict};
use super::observation::{Observation, TaskRows};
use crate::eval::statistics::{Estimate, bootstrap};

/// Covariates of the full model: the constant, log length, share of syntax, score.
const D: usize = 4;
const SCORE: usize = 3;

/// A deviation below this share of the mean is rounding.
const DEVIATION_MIN: f64 = 1e-9;

/// Takes covariates to mean 0 and standard deviation 1; one that does not vary to 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    mean: [f64; 3],
    deviation: [f64; 3],
}

impl Scale {
    pub fn of<'a>(rows: impl Iterator<Item = &'a Observation> + Clone) -> Self {
        let n = rows.clone().count().max(1) as f64;
        let sum = |f: &dyn Fn([f64; 3]) -> [f64; 3]| {
            rows.clone()
                .map(covariates)
                .map(f)
                .fold([0.0; 3], |a, b| std::array::from_fn(|i| a[i] + b[i] / n))
        };
        let mean = sum(&|x| x);
        let variance = sum(&|x| std::array::from_fn(|i| (x[i] - mean[i]).powi(2)));
        Self {
            mean,
            deviation: std::array::from_fn(|i| match variance[i].sqrt() {
                rounding if rounding <= DEVIATION_MIN * mean[i].abs() => 0.0,
                deviation => deviation,
            }),
        }
    }

    /// The first `N` covariates, the constant among them.
    fn row<const N: usize>(&self, o: &Observation) -> [f64; N] {
        let x = covariates(o);
        std::array::from_fn(|i| match i.checked_sub(1) {
            None => 1.0,
            Some(i) if self.deviation[i] > 0.0 => (x[i] - self.mean[i]) / self.deviation[i],
            Some(_) => 0.0,
        })
    }
}

fn covariates(o: &Observation) -> [f64; 3] {
    [o.log_length, o.syntax_share, o.score]
}

/// What a logistic model says of the chance to fail.
pub(super) struct Model<const N: usize> {
    scale: Scale,
    b: [f64; N],
}

impl<const N: usize> Model<N> {
    /// `None` where not both outcomes occur.
    pub fn fitted<'a>(rows: impl Iterator<Item = &'a Observation> + Clone) -> Option<Self> {
        let scale = Scale::of(rows.clone());
        let rows: Vec<Row<N>> = rows.map(|o| (scale.row(o), o.failing)).collect();
        let b = fit(&rows, RIDGE)?;
        Some(Self { scale, b })
    }

    pub fn predict(&self, o: &Observation) -> f64 {
        predict(&self.b, &self.scale.row(o))
    }
}

/// The score's coefficient in a model of failing with log length and the share of syntax
/// beside it: log odds for each standard deviation. Every resample is scaled as the
/// whole is.
pub(super) fn coefficient(tasks: &[TaskRows], seed: u64) -> Option<Estimate> {
    let scale = Scale::of(tasks.iter().flatten());
    let rows = |task: &TaskRows| -> Vec<Row<D>> {
        task.iter().map(|o| (scale.row(o), o.failing)).collect()
    };
    let tasks: Vec<_> = tasks.iter().map(rows).filter(|t| !t.is_empty()).collect();
    bootstrap(&tasks, seed, |drawn| {
        let rows: Vec<Row<D>> = drawn.iter().flat_map(|task| task.iter().copied()).collect();
        Some(fit(&rows, RIDGE)?[SCORE])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::RngKey;

    /// Forty tasks of ten rows that fail the more the longer they are; the score is a
    /// mixture of length and noise of its own.
    fn rows(of_length: f64, of_score: f64) -> Vec<TaskRows> {
        let draw = |key: RngKey| (0..12).map(|i| key.split(i).uniform()).sum::<f64>() - 6.0;
        let row = |key: RngKey| {
            let (length, noise) = (draw(key.split(1)), draw(key.split(2)));
            let score = length + noise;
            let z = of_length * length + of_score * score;
            Observation {
                failing: key.split(3).uniform() < 1.0 / (1.0 + (-z).exp()),
                score,
                log_length: length,
                syntax_share: 0.5,
            }
        };
        let task = |t| {
            (0..10)
                .map(|i| row(RngKey::from_seed(5).split(t).split(i)))
                .collect()
        };
        (0..40).map(task).collect()
    }

    #[test]
    fn a_score_that_is_only_length_loses_its_coefficient_once_length_is_in() {
        let only_length = rows(1.5, 0.0);
        let flat: Vec<(f64, bool)> = only_length
            .iter()
            .flatten()
            .map(|o| (o.score, o.failing))
            .collect();
        assert!(
            crate::eval::auroc(&flat).unwrap() > 0.65,
            "alone it looks like a signal"
        );
        let found = coefficient(&only_length, 1).unwrap();
        assert!(found.low < 0.0 && found.high > 0.0, "{found:?}");
        let found = coefficient(&rows(0.0, 1.0), 1).unwrap();
        assert!(found.low > 0.5, "{found:?}");
    }

    #[test]
    fn a_covariate_that_does_not_vary_changes_nothing() {
        let tasks = rows(0.0, 1.0);
        let with = Model::<4>::fitted(tasks.iter().flatten()).unwrap();
        assert_eq!(with.b[2], 0.0);
    }
}
