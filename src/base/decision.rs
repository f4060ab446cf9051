//! Where to branch: plain data, decided in `decode`, acted on in `search`,
//! and kept in the record with the figures that caused it.
use super::ActionEntropy;
use serde::{Deserialize, Serialize};

/// Which signal a gate looks at, and so which span of what was decoded: the
/// tool's name, the arguments with the code, the reasoning before both, or the
/// action as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateSignal {
    /// [`ToolEntropy::entropy_nats`](super::ToolEntropy::entropy_nats).
    Tool,
    /// [`ActionEntropy::args_mean_nats`](super::ActionEntropy::args_mean_nats).
    ArgsMean,
    /// [`ActionEntropy::args_max_nats`](super::ActionEntropy::args_max_nats).
    ArgsMax,
    /// [`ActionEntropy::vote_nats`](super::ActionEntropy::vote_nats): every
    /// step is sampled k times for it.
    Vote,
    /// [`ActionEntropy::reasoning_mean_nats`](super::ActionEntropy::reasoning_mean_nats).
    ReasoningMean,
}

impl GateSignal {
    /// Every signal, in the order in which they are listed.
    pub const ALL: [Self; 5] = [
        Self::Tool,
        Self::ArgsMean,
        Self::ArgsMax,
        Self::Vote,
        Self::ReasoningMean,
    ];

    /// The signal's value in an action's figures, nats; `None` if it was not measured.
    pub fn of(self, entropy: &ActionEntropy) -> Option<f32> {
        match self {
            Self::Tool => entropy.tool.as_ref().map(|tool| tool.entropy_nats),
            Self::ArgsMean => entropy.args_mean_nats,
            Self::ArgsMax => entropy.args_max_nats,
            Self::Vote => entropy.vote_nats,
            Self::ReasoningMean => entropy.reasoning_mean_nats,
        }
    }

    /// The name used in records and reasons.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::ArgsMean => "args_mean",
            Self::ArgsMax => "args_max",
            Self::Vote => "vote",
            Self::ReasoningMean => "reasoning_mean",
        }
    }
}

/// What decides where to branch. All but `Gate` are controls: they spend like
/// the gate without looking at entropy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
            Some(quantile) => format!("quantile {quantile:.2}: {}", self.provenance),
            None => self.provenance.clone(),
        }
    }
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
    /// The gate's threshold, nats; `None` when no gate was asked.
    pub threshold_nats: Option<f32>,
    /// One clause for a person: `args_max 2.31 >= 1.90 nats`.
    pub reason: String,
}
