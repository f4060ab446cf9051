//! One score of each step or trajectory beside its outcome and what is controlled for.
use super::sample::{ActionFigures, TaskSamples};
use super::score::{Level, Score};

/// A row of every analysis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Observation {
    /// The positive of every AUROC: the hypothesis is that more entropy means failure.
    pub failing: bool,
    pub score: f64,
    /// Natural logarithm of the tokens.
    pub log_length: f64,
    pub syntax_share: f64,
}

/// The observations of one task.
pub(super) type TaskRows = Vec<Observation>;

/// Of each task, in the order given; what has no known outcome or was not measured is
/// left out. The share of syntax is 0 where a record lacks the text of tokens.
pub(super) fn observations(tasks: &[TaskSamples], level: Level, score: Score) -> Vec<TaskRows> {
    let row = |failing: bool, value: Option<f64>, whole: &ActionFigures| {
        Some(Observation {
            failing,
            score: value?,
            log_length: (whole.n_tokens.max(1) as f64).ln(),
            syntax_share: whole.score(Score::SyntaxShare).unwrap_or(0.0),
        })
    };
    let rows = |task: &TaskSamples| -> TaskRows {
        match level {
            Level::Step => (task.steps.iter())
                .filter_map(|s| row(!s.resolved?, s.taken.score(score), &s.taken))
                .collect(),
            _ => (task.trajectories.iter())
                .filter_map(|t| row(!t.resolved, t.score(level, score), &t.whole()))
                .collect(),
        }
    };
    tasks.iter().map(rows).collect()
}
