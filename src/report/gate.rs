//! The gate of a run, as every page shows it.
use super::view::RunView;
use crate::base::{Gate, GateSignal, RUNNING_STEPS_MIN, RunningGate, SignalSpan};
use crate::record::StepFinished;

/// Where the steps of a run branch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ShownGate<'a> {
    /// At a threshold that was given.
    Given(&'a Gate),
    /// At a quantile of the run's own steps, which moves with each of them.
    Running(RunningSpan),
}

/// How a run's own gate moved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunningSpan {
    pub signal: GateSignal,
    pub quantile: f32,
    /// The threshold when the gate opened and the one that was compared with last, nats;
    /// `None` where the run was over before.
    pub opened: Option<(f32, f32)>,
    /// Measured steps behind the last decision.
    pub n_steps: usize,
    /// Steps that it was compared with, and those of them at or above it as it stood.
    pub n_compared: usize,
    pub n_at_gate: usize,
}

impl<'a> ShownGate<'a> {
    /// `None` where no gate was asked.
    pub fn of(view: &'a RunView) -> Option<Self> {
        match &view.start.gate {
            Some(gate) => Some(Self::Given(gate)),
            None => RunningSpan::of(&view.steps).map(Self::Running),
        }
    }

    pub fn signal(&self) -> GateSignal {
        match self {
            Self::Given(gate) => gate.signal,
            Self::Running(span) => span.signal,
        }
    }

    /// `1.12 nats`, or the quantile of a gate that moves.
    pub fn threshold(&self) -> String {
        match self {
            Self::Given(gate) => format!("{:.2} nats", gate.threshold_nats),
            Self::Running(span) => format!("the {:.2} quantile so far", span.quantile),
        }
    }

    /// Where the threshold came from, in a clause.
    pub fn source(&self) -> String {
        match self {
            Self::Given(gate) => gate.source(),
            Self::Running(span) => span.source(),
        }
    }

    /// Where the gate stood at the end, and what to write beside its line.
    pub fn line(&self) -> Option<(f32, String)> {
        match self {
            Self::Given(gate) => {
                let nats = gate.threshold_nats;
                Some((nats, format!("gate, {nats:.2}")))
            }
            Self::Running(span) => {
                let (_, last) = span.opened?;
                Some((last, format!("running gate at the end, {last:.2}")))
            }
        }
    }

    /// The threshold that tokens of a step are held against, nats: where the signal is a
    /// single token's figure, and the gate was open.
    pub fn at(&self, step: &StepFinished) -> Option<f32> {
        match (self.signal().span(), self) {
            (SignalSpan::Several, _) => None,
            (SignalSpan::Token, Self::Given(gate)) => Some(gate.threshold_nats),
            (SignalSpan::Token, Self::Running(_)) => {
                step.decision.gate.and(step.decision.threshold_nats)
            }
        }
    }
}

impl RunningSpan {
    fn of(steps: &[StepFinished]) -> Option<Self> {
        let asked = steps.iter().filter_map(|step| {
            let gate: RunningGate = step.decision.gate?;
            Some((
                gate,
                step.decision.threshold_nats,
                step.decision.signal_nats,
            ))
        });
        asked.fold(None, |span, (gate, threshold, nats)| {
            let mut span = span.unwrap_or(Self {
                signal: gate.signal,
                quantile: gate.quantile,
                opened: None,
                n_steps: 0,
                n_compared: 0,
                n_at_gate: 0,
            });
            span.n_steps = gate.n_steps;
            if let Some(threshold) = threshold {
                let first = span.opened.map_or(threshold, |(first, _)| first);
                span.opened = Some((first, threshold));
                if let Some(nats) = nats {
                    span.n_compared += 1;
                    span.n_at_gate += usize::from(nats >= threshold);
                }
            }
            Some(span)
        })
    }

    fn source(&self) -> String {
        let moved = match self.opened {
            None => format!("not opened: {RUNNING_STEPS_MIN} measured steps are needed"),
            Some((first, last)) => format!(
                "{first:.2} nats when it opened, {last:.2} over {} steps at the end",
                self.n_steps
            ),
        };
        format!("over the steps of this run, as no gate was given: {moved}")
    }
}
