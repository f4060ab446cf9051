//! Where to branch: plain data, decided in `decode`, acted on in `search`,
//! and kept in the record with the figures that caused it.
use super::GateSignal;
use serde::{Deserialize, Serialize};

/// What decides where to branch. All but `Gate` are controls: they spend like
/// the gate without looking at entropy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum BranchPolicy {
    /// At or above the model's entropy threshold.
    #[default]
    Gate,
    /// At every step.
    Always,
    /// At none.
    Never,
    /// At a step with this probability, drawn from the ask's key.
    Random { rate: f64 },
    /// At every `period`-th step of a branch: step `period - 1` is the first.
    EveryKth { period: u32 },
    /// At every step whose action changes a file.
    OnEdit,
}

/// The quantile that a gate is set at where none is asked for. One step in five is rolled
/// out: with four candidates a step that is 0.6 more actions than steps, while at 0.75,
/// the first gate's, it is 0.75 more.
pub const GATE_QUANTILE: f64 = 0.8;

/// Steps of a run that a [`RunningGate`] needs before it opens: of fewer than five, the
/// one in five that [`GATE_QUANTILE`] rolls out is no whole step.
pub const RUNNING_STEPS_MIN: usize = 5;

/// A threshold on one signal and where it came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// The signal compared with the threshold.
    pub signal: GateSignal,
    /// Branch where the signal is at or above this, nats.
    pub threshold_nats: f32,
    /// The quantile of the signal's distribution that the threshold is; `None`
    /// for one that was not measured.
    #[serde(default)]
    pub quantile: Option<f32>,
    /// Tasks, date and seed that the quantile was measured on.
    pub provenance: String,
}

impl Gate {
    /// Where the threshold came from, in a clause.
    pub fn source(&self) -> String {
        match self.quantile {
            // A gate of the user's own runs says its quantile itself.
            Some(quantile)
                if self
                    .provenance
                    .starts_with(&format!("{quantile:.2} quantile")) =>
            {
                self.provenance.clone()
            }
            Some(quantile) => format!("quantile {quantile:.2}: {}", self.provenance),
            None => self.provenance.clone(),
        }
    }
}

/// The gate of a run whose model has none: a quantile of a signal over the steps of this
/// run before the one decided on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunningGate {
    pub signal: GateSignal,
    pub quantile: f32,
    /// Steps before this one at which the signal was measured. Below
    /// [`RUNNING_STEPS_MIN`] the gate is not open, and the decision has no threshold.
    pub n_steps: usize,
}

/// What the branch policy decided at one step, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BranchDecision {
    /// True when the step is rolled out.
    pub branch: bool,
    /// How many candidates in all, the one already decoded included.
    pub candidates: usize,
    /// The gate's signal at this step, nats; `None` if it was not measured.
    pub signal_nats: Option<f32>,
    /// The gate's threshold, nats; `None` when no gate was asked, or one that is not open.
    pub threshold_nats: Option<f32>,
    /// Where the threshold is of this run itself; `None` for a gate that was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<RunningGate>,
    /// One clause for a person: `args_max 2.31 >= 1.90 nats`.
    pub reason: String,
}
