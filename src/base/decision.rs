//! Where to branch: plain data, decided in `decode`, acted on in `search`,
//! and kept in the record with the figures that caused it.
use super::RunningGate;
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
