//! Every score at every level against the outcome.
use super::controlled::coefficient;
use super::discrimination::{Stratum, WithinTask, by_length, pooled, within_task};
use super::held_out::{HeldOut, held_out};
use super::observation::observations;
use super::sample::TaskSamples;
use super::score::{Level, Score};
use crate::eval::statistics::Estimate;
use rayon::prelude::*;
use serde::Serialize;

/// One score of steps or trajectories. What fails is the positive: above 0.5, what fails
/// has the higher score.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Analysis {
    pub level: Level,
    pub score: Score,
    /// Steps or trajectories with a score and a known outcome.
    pub n: usize,
    pub n_failing: usize,
    /// `None` where one outcome is missing; so with all that follows.
    pub auroc: Option<Estimate>,
    /// Over pairs of one task.
    pub within_task: Option<WithinTask>,
    /// In each third by length; empty for controls.
    pub by_length: Vec<Stratum>,
    /// Log odds of failing for each standard deviation, length and syntax held; `None`
    /// for controls.
    pub coefficient: Option<Estimate>,
    /// `None` for controls.
    pub held_out: Option<HeldOut>,
}

/// Those that have something to go by. Controls are of steps and of whole trajectories.
///
/// Cost: for each figure and resample a sort of the rows, on all threads.
pub(super) fn analyses(tasks: &[TaskSamples], in_first: &[bool], seed: u64) -> Vec<Analysis> {
    let both = |level| Score::all().map(move |score| (level, score));
    let cells: Vec<(Level, Score)> = (Level::ALL.into_iter().flat_map(both))
        .filter(|(level, score)| {
            !score.is_control() || matches!(level, Level::Step | Level::TrajectoryMean)
        })
        .collect();
    (cells.into_par_iter())
        .filter_map(|(level, score)| analysis(tasks, in_first, level, score, seed))
        .collect()
}

fn analysis(
    tasks: &[TaskSamples],
    in_first: &[bool],
    level: Level,
    score: Score,
    seed: u64,
) -> Option<Analysis> {
    let rows = observations(tasks, level, score);
    let n = rows.iter().map(Vec::len).sum();
    if n == 0 {
        return None;
    }
    let is_signal = !score.is_control();
    Some(Analysis {
        level,
        score,
        n,
        n_failing: rows.iter().flatten().filter(|o| o.failing).count(),
        auroc: pooled(&rows, seed),
        within_task: within_task(&rows, seed),
        by_length: match is_signal {
            true => by_length(&rows, seed),
            false => Vec::new(),
        },
        coefficient: is_signal.then(|| coefficient(&rows, seed)).flatten(),
        held_out: is_signal.then(|| held_out(&rows, in_first, seed)),
    })
}
