//! A gate from the user's own runs: how each signal spreads over their steps. No outcome
//! is known of them, so nothing is said of what a signal is worth.
use super::all_gates;
use super::distribution::{Distribution, gated_nats};
use super::sample::{Outcomes, TaskSamples, add_run};
use super::score::Score;
use super::sentences::told_others;
use super::stored::started;
use super::table::quantile_table;
use crate::base::{Gate, GateSignal, Gates, day, quantile};
use crate::eval::EvalError;
use crate::record::{RECORD_FILE, RecordError, read_record};
use crate::search::RunState;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Steps that a gate is learnt from at least. At the quantile of 0.8, the share that it
/// rolls out of other steps then lies within 0.11 of the 0.2 asked for, in 95 of 100 cases
/// (binomial: 1.96 sqrt(0.8 * 0.2 / 50)). A run gates itself as long as there are fewer.
pub const OWN_STEPS_MIN: usize = 50;

/// Runs of one model, as samples.
#[derive(Debug, Default)]
pub struct OwnRuns {
    /// One entry a run.
    samples: Vec<TaskSamples>,
    /// When the last of them was started, seconds since the Unix epoch.
    latest_s: u64,
    /// Records that could not be read.
    pub unreadable: Vec<RecordError>,
}

/// Every signal over the steps of own runs, and the gate that follows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OwnCalibration {
    pub version: u32,
    pub model: String,
    /// Day of the last run, UTC.
    pub date: String,
    pub n_runs: usize,
    /// Steps at which a gate looks.
    pub n_steps: usize,
    pub distributions: Vec<Distribution>,
    /// The first gate, on the signal that was asked for.
    pub gate: Gate,
    /// On the other signals that were measured, for strategies that name one.
    pub other_gates: Vec<Gate>,
}

impl OwnCalibration {
    /// All of them, the first one first.
    pub fn gates(&self) -> Gates {
        all_gates(&self.gate, &self.other_gates)
    }
}

impl OwnRuns {
    /// Reads the records of `model` in the folders and below them, one after the other, so
    /// that only samples are held.
    ///
    /// Errors: a folder that cannot be listed, no record there, none of the model.
    pub fn read(dirs: &[PathBuf], model: &str) -> Result<Self, EvalError> {
        let mut records = BTreeSet::new();
        for dir in dirs {
            add_records(dir, &mut records)?;
        }
        let (mut runs, mut others) = (Self::default(), BTreeSet::new());
        for path in &records {
            let lines = match read_record(path) {
                Ok((lines, _)) => lines,
                Err(error) => {
                    runs.unreadable.push(error);
                    continue;
                }
            };
            let start = started(&lines);
            if start.model != model {
                others.insert(start.model.clone());
                continue;
            }
            runs.latest_s = runs.latest_s.max(start.started_at_s);
            let mut own = TaskSamples::default();
            add_run(&mut own, &RunState::of_record(&lines), &Outcomes::new());
            runs.samples.push(own);
        }
        if !runs.samples.is_empty() {
            return Ok(runs);
        }
        if !others.is_empty() {
            return Err(EvalError::NoRunOf {
                model: model.to_owned(),
                others: Vec::from_iter(others).join(", "),
            });
        }
        match runs.unreadable.pop() {
            Some(error) => Err(EvalError::Search(error.into())),
            None => Err(EvalError::NoRecord {
                dirs: dirs.to_vec(),
            }),
        }
    }

    /// The gates at a quantile, strictly between 0 and 1, of each signal over all steps, that
    /// of `signal` first.
    ///
    /// Errors: a signal that was measured at fewer than [`OWN_STEPS_MIN`] steps.
    pub fn calibrate(
        &self,
        model: &str,
        signal: GateSignal,
        q: f64,
    ) -> Result<OwnCalibration, EvalError> {
        let date = day(self.latest_s);
        let first = self.samples.iter().map(|run| {
            let looked = run.steps.iter().filter(|step| step.first.is_some());
            looked.count()
        });
        let n_runs = self.samples.len();
        let gate = |signal: GateSignal| {
            let nats = gated_nats(self.samples.iter(), signal.into());
            if nats.len() < OWN_STEPS_MIN {
                return Err(EvalError::TooFewSteps {
                    signal: signal.name(),
                    n: nats.len(),
                });
            }
            Ok(Gate {
                signal,
                threshold_nats: quantile(&nats, q) as f32,
                quantile: Some(q as f32),
                provenance: format!(
                    "{q:.2} quantile of {} over {} steps of {n_runs} runs of the user's own, {date}",
                    signal.name(),
                    nats.len()
                ),
            })
        };
        let others = (GateSignal::ALL.into_iter()).filter(|&other| other != signal);
        let other_gates = others.filter_map(|other| gate(other).ok()).collect();
        let gate = gate(signal)?;
        Ok(OwnCalibration {
            version: super::CALIBRATION_VERSION,
            model: model.to_owned(),
            date,
            n_runs,
            n_steps: first.sum(),
            distributions: Score::all()
                .filter(|score| !score.is_control())
                .filter_map(|score| Distribution::of(&self.samples, score))
                .collect(),
            gate,
            other_gates,
        })
    }
}

/// Quantiles of each signal, and the gate in a sentence.
pub fn own_table(calibration: &OwnCalibration) -> String {
    let OwnCalibration {
        version: _,
        model,
        date: _,
        n_runs,
        n_steps,
        distributions,
        gate,
        other_gates,
    } = calibration;
    let others = told_others(other_gates).map(|told| told + "\n");
    format!(
        "{}\n{n_steps} steps of {n_runs} runs of {model}.\n\nGate: {} >= {:.2} nats, the {}.\n{}",
        quantile_table(distributions),
        gate.signal.name(),
        gate.threshold_nats,
        gate.provenance,
        others.unwrap_or_default()
    )
}

/// Adds the record in a folder, else those below it. Links are not followed.
fn add_records(dir: &Path, records: &mut BTreeSet<PathBuf>) -> Result<(), EvalError> {
    let record = dir.join(RECORD_FILE);
    if record.is_file() {
        // A folder that is given twice is read once.
        let path = record.canonicalize();
        records.insert(path.map_err(|e| EvalError::io("read", &record, e))?);
        return Ok(());
    }
    let entries = std::fs::read_dir(dir).map_err(|e| EvalError::io("list", dir, e))?;
    for entry in entries {
        let entry = entry.map_err(|e| EvalError::io("list", dir, e))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            add_records(&entry.path(), records)?;
        }
    }
    Ok(())
}
