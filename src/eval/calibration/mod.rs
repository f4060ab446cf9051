//! What a model's entropy is worth: how each signal spreads over steps, whether it tells
//! steps and trajectories that fail from those that pass, and the threshold of its gate.
//!
//! Everything is a pure function of samples; a task is the unit that is drawn and split.
//!
//! `sample.rs` makes the samples: a step or a trajectory, with the verdict of the hidden
//! tests on the trajectory's own patch. A step that is held against the outcome has the
//! signals of the action that was taken. A step that a threshold is set on has those of the
//! action that was decoded first, since a gate sees that one. A step fails with all
//! trajectories that it lies on. A step of no trajectory with a known outcome counts for the
//! threshold only.
//!
//! Each bootstrap draws tasks, and the two halves are halves of the tasks, so that two runs
//! of one task are never on both sides. A failure is the positive class of every AUROC. Pairs
//! within one task are the only ones that are free of how hard tasks are. Length and the
//! share of syntax stand for everything that entropy might merely follow: thirds by length,
//! and a logistic model with a ridge (`logistic.rs`) whose held-out AUROC with the signal
//! stands beside the one without.
//!
//! The signal that gates is picked on one half and has to hold on the other. If none does,
//! the present signal stays, and the program says so. `--runs` reads the user's own records,
//! of which no outcome is known: they set a threshold and choose no signal.
mod analysis;
mod choice;
mod content;
mod controlled;
mod discrimination;
mod distribution;
mod halves;
mod held_out;
mod logistic;
mod observation;
mod outcomes;
mod own_runs;
mod sample;
mod score;
mod sentences;
mod stored;
mod table;

pub use analysis::Analysis;
pub use choice::{Choice, HalfThreshold, Pick};
pub use discrimination::{Stratum, WithinTask};
pub use distribution::{Bin, Distribution, QUANTILES};
pub use held_out::{CurveBin, Direction, HeldOut};
pub use outcomes::{judge_unknown, known_outcomes};
pub use own_runs::{OWN_STEPS_MIN, OwnCalibration, OwnRuns, own_table};
pub use sample::{
    ActionFigures, Outcomes, StepSample, TaskSamples, TrajectorySample, add_run, trajectories,
};
pub use score::{Level, Score};
pub use sentences::{curve_sentence, sentences, shown, shown_difference};
pub use stored::{StoredRun, gate_in_use, stored_runs};
pub use table::calibration_tables;

use super::EvalError;
use super::summary::SEED;
use crate::base::{Gate, GateSignal, Gates, day, quantile};
use distribution::gated_nats;
use halves::halves;
use serde::Serialize;

/// Of `calibration.json`; fields may be added without a new one.
pub const CALIBRATION_VERSION: u32 = 1;

/// What is calibrated, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct CalibrateRequest<'a> {
    pub model: &'a str,
    pub strategy: &'a str,
    /// Where the tasks are from, in a clause.
    pub sources: &'a str,
    pub seeds: &'a [u64],
    /// Strictly between 0 and 1.
    pub quantile: f64,
    /// The signal that has to gate first; `None` lets the measurement choose.
    pub signal: Option<GateSignal>,
    /// The signal of the first gate now.
    pub present: Option<GateSignal>,
    /// When the last of the runs was started, seconds since the Unix epoch.
    pub measured_at_s: u64,
}

/// All figures, and the gate that follows from them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Calibration {
    pub version: u32,
    pub model: String,
    pub strategy: String,
    pub sources: String,
    pub seeds: Vec<u64>,
    /// Day of the last run, UTC.
    pub date: String,
    /// Names of the first half's tasks, and of the second's.
    pub halves: [Vec<String>; 2],
    /// Of the split into halves and of the bootstraps.
    pub seed: u64,
    pub n_steps: usize,
    pub n_trajectories: usize,
    /// Trajectories whose own patch passes the hidden tests.
    pub n_resolved: usize,
    pub distributions: Vec<Distribution>,
    pub analyses: Vec<Analysis>,
    pub choice: Choice,
    pub stability: Vec<HalfThreshold>,
    /// The first gate, on the signal that was chosen.
    pub gate: Gate,
    /// On the other signals that were measured, for strategies that name one.
    pub other_gates: Vec<Gate>,
}

impl Calibration {
    /// All of them, the first one first.
    pub fn gates(&self) -> Gates {
        all_gates(&self.gate, &self.other_gates)
    }

    pub fn n_tasks(&self) -> usize {
        self.halves.iter().map(Vec::len).sum()
    }

    /// `None` where nothing was measured there.
    pub fn analysis(&self, level: Level, score: Score) -> Option<&Analysis> {
        let is_it = |a: &&Analysis| (a.level, a.score) == (level, score);
        self.analyses.iter().find(is_it)
    }

    pub fn distribution(&self, score: Score) -> Option<&Distribution> {
        self.distributions.iter().find(|d| d.score == score)
    }
}

/// Calibrates by samples of tasks; those without a step count nowhere.
///
/// Errors: fewer than two tasks, trajectories that all end alike, a signal that was not
/// measured.
pub fn calibrate(
    mut tasks: Vec<TaskSamples>,
    request: &CalibrateRequest<'_>,
) -> Result<Calibration, EvalError> {
    tasks.retain(|task| !task.steps.is_empty());
    tasks.sort_by(|a, b| a.task.cmp(&b.task));
    if tasks.len() < 2 {
        return Err(EvalError::TooFewTasks { n: tasks.len() });
    }
    let outcomes: Vec<bool> = (tasks.iter())
        .flat_map(|task| task.trajectories.iter().map(|t| t.resolved))
        .collect();
    let n_resolved = outcomes.iter().filter(|&&resolved| resolved).count();
    if n_resolved == 0 || n_resolved == outcomes.len() {
        return Err(EvalError::OneOutcome {
            n: outcomes.len(),
            resolved: n_resolved > 0,
        });
    }
    let names: Vec<&str> = tasks.iter().map(|task| task.task.as_str()).collect();
    let in_first = halves(&names, SEED);
    let distributions = Score::all()
        .filter(|score| !score.is_control())
        .filter_map(|score| Distribution::of(&tasks, score))
        .collect();
    let analyses = analysis::analyses(&tasks, &in_first, SEED);
    let n_steps = tasks.iter().map(|task| task.steps.len()).sum();
    let mut flags = in_first.iter();
    let (first, second): (Vec<TaskSamples>, Vec<TaskSamples>) = tasks
        .into_iter()
        .partition(|_| *flags.next().expect("a flag a task"));
    let choice = choice::choose([&first, &second], request.signal, request.present, SEED);
    let (threshold, stability) =
        choice::thresholds([&first, &second], choice.signal, request.quantile)?;
    let date = day(request.measured_at_s);
    let n_tasks = first.len() + second.len();
    let n_gated = stability.iter().map(|half| half.n_fitted).sum();
    let gate = |signal: GateSignal, threshold: f64, n_steps: usize| Gate {
        signal,
        threshold_nats: threshold as f32,
        quantile: Some(request.quantile as f32),
        provenance: provenance(request, n_steps, n_tasks, &date),
    };
    let of_others = (GateSignal::ALL.into_iter()).filter(|&signal| signal != choice.signal);
    let other_gates = of_others.filter_map(|signal| {
        let nats = gated_nats(first.iter().chain(&second), signal.into());
        (nats.len() >= OWN_STEPS_MIN)
            .then(|| gate(signal, quantile(&nats, request.quantile), nats.len()))
    });
    let other_gates = other_gates.collect();
    let gate = gate(choice.signal, threshold, n_gated);
    let names = |tasks: &[TaskSamples]| tasks.iter().map(|task| task.task.clone()).collect();
    Ok(Calibration {
        version: CALIBRATION_VERSION,
        model: request.model.to_owned(),
        strategy: request.strategy.to_owned(),
        sources: request.sources.to_owned(),
        seeds: request.seeds.to_vec(),
        date,
        halves: [names(&first), names(&second)],
        seed: SEED,
        n_steps,
        n_trajectories: outcomes.len(),
        n_resolved,
        distributions,
        analyses,
        choice,
        stability,
        gate,
        other_gates,
    })
}

/// A gate on each signal, that of `gate` first.
fn all_gates(gate: &Gate, others: &[Gate]) -> Gates {
    std::iter::once(gate).chain(others).cloned().collect()
}

/// Tasks, date and seeds, in a clause.
fn provenance(
    request: &CalibrateRequest<'_>,
    n_steps: usize,
    n_tasks: usize,
    date: &str,
) -> String {
    format!(
        "egss calibrate, {n_steps} steps of {} on {n_tasks} tasks ({}), {}; {date}",
        request.strategy,
        request.sources,
        sentences::seeds(request.seeds),
    )
}
