//! Entropy signals of an action: the figures, and the one table of all signals that the
//! gate, calibration, reports and the command line read.
//!
//! A new signal is a field of [`ActionEntropy`] and a row of the table here, and its
//! measurement in `decode::action_entropy`, which the compiler points at.
//!
//! There is no second list. For example, `--gate`, `egss calibrate`, the reports and the JSON
//! output all name `args_max` from the same row.
use super::ChoiceEntropy;
use serde::{Deserialize, Serialize};

/// The uncertainty of one agent action, by named signal. What a thinking model
/// reasoned before it is counted apart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ActionEntropy {
    /// Exact tool entropy; `None` where the engine has no full logits.
    pub tool: Option<ChoiceEntropy>,
    /// Exact entropy over the locations that may be named; `None` but where a run's first
    /// call names one of the index's likeliest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<ChoiceEntropy>,
    /// Mean token entropy over the free argument tokens, nats; `None` if there are none.
    pub args_mean_nats: Option<f32>,
    /// Largest token entropy over the free argument tokens, nats.
    pub args_max_nats: Option<f32>,
    /// Index in the action's tokens of the most uncertain free token.
    pub args_max_at: Option<usize>,
    /// Entropy over canonicalised sampled actions, nats; `None` unless sampled.
    pub vote_nats: Option<f32>,
    /// Mean token entropy over the free tokens of the reasoning, nats; `None` if
    /// there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_mean_nats: Option<f32>,
    /// Tokens of the action that the grammar did not force.
    pub n_free_tokens: usize,
    /// All tokens of the action.
    pub n_tokens: usize,
    /// Tokens of the reasoning before it.
    #[serde(default)]
    pub n_reasoning_tokens: usize,
}

/// Of how many tokens a signal's figure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalSpan {
    /// Of a single one: a gate can be drawn beside the entropy of each token.
    Token,
    /// Of several, or of whole actions.
    Several,
}

/// One row of the table.
struct Row {
    name: &'static str,
    label: &'static str,
    help: &'static str,
    span: SignalSpan,
    value: fn(&ActionEntropy) -> Option<f32>,
}

/// Makes the enum, the list of all and the table from the same rows, so that none of
/// them can lack a signal.
macro_rules! signals {
    ($($(#[$doc:meta])* $signal:ident {
        name: $name:literal,
        label: $label:literal,
        help: $help:literal,
        span: $span:ident,
        value: $value:expr,
    })*) => {
        /// A signal that a gate can look at, and so a span of the decoded tokens: the
        /// tool's name, the arguments with the code, the reasoning before both, or the
        /// action as a whole.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum GateSignal {
            $($(#[$doc])* #[serde(rename = $name)] $signal,)*
        }

        impl GateSignal {
            /// Every signal, in the order in which they are listed.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$signal),*];

            fn row(self) -> Row {
                match self {
                    $(Self::$signal => Row {
                        name: $name,
                        label: $label,
                        help: $help,
                        span: SignalSpan::$span,
                        value: $value,
                    },)*
                }
            }
        }
    };
}

signals! {
    /// [`ChoiceEntropy::entropy_nats`].
    Tool {
        name: "tool",
        label: "tool entropy",
        help: "entropy over the allowed tools where the tool's name starts",
        span: Several,
        value: |entropy| entropy.tool.as_ref().map(|tool| tool.entropy_nats),
    }
    /// [`ActionEntropy::args_mean_nats`].
    ArgsMean {
        name: "args_mean",
        label: "mean argument entropy",
        help: "mean token entropy of the arguments, code included",
        span: Several,
        value: |entropy| entropy.args_mean_nats,
    }
    /// [`ActionEntropy::args_max_nats`].
    ArgsMax {
        name: "args_max",
        label: "largest argument entropy",
        help: "largest token entropy of the arguments, code included",
        span: Token,
        value: |entropy| entropy.args_max_nats,
    }
    /// [`ActionEntropy::vote_nats`]: every step is sampled k times for it.
    Vote {
        name: "vote",
        label: "vote entropy",
        help: "entropy over k sampled actions; every step is sampled k times for it",
        span: Several,
        value: |entropy| entropy.vote_nats,
    }
    /// [`ActionEntropy::reasoning_mean_nats`].
    ReasoningMean {
        name: "reasoning_mean",
        label: "mean reasoning entropy",
        help: "mean token entropy of a thinking model's reasoning",
        span: Several,
        value: |entropy| entropy.reasoning_mean_nats,
    }
    /// [`ActionEntropy::location`].
    Location {
        name: "location",
        label: "location entropy",
        help: "entropy over the index's likeliest locations, where a run's first call names one",
        span: Several,
        value: |entropy| entropy.location.as_ref().map(|location| location.entropy_nats),
    }
}

impl GateSignal {
    /// The signal where neither the user, nor the model's manifest, nor a measurement
    /// names one. It costs no token, every action with an argument has it, and the first
    /// gates were set on it. The search goes back by the same signal.
    pub const DEFAULT: Self = Self::ArgsMax;

    /// The signal's value in an action's figures, nats; `None` if it was not measured.
    pub fn of(self, entropy: &ActionEntropy) -> Option<f32> {
        (self.row().value)(entropy)
    }

    /// The name used in records, reasons and arguments.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The name used in sentences of a report: `largest argument entropy`.
    pub fn label(self) -> &'static str {
        self.row().label
    }

    /// A clause for the command line's help.
    pub fn help(self) -> &'static str {
        self.row().help
    }

    /// Whether the figure is one token's.
    pub fn span(self) -> SignalSpan {
        self.row().span
    }

    /// The signal of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|signal| signal.name() == name)
    }

    /// Its place in [`GateSignal::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_recorded_and_found_by_the_same_name() {
        for (at, signal) in GateSignal::ALL.into_iter().enumerate() {
            let recorded = serde_json::to_string(&signal).unwrap();
            assert_eq!(recorded, format!("{:?}", signal.name()));
            assert_eq!(
                serde_json::from_str::<GateSignal>(&recorded).unwrap(),
                signal
            );
            assert_eq!(GateSignal::named(signal.name()), Some(signal));
            assert_eq!(signal.index(), at);
        }
        assert_eq!(GateSignal::named("mean"), None);
    }

    #[test]
    fn names_in_records_stay_as_they_are() {
        let names = GateSignal::ALL.map(GateSignal::name);
        let first = ["tool", "args_mean", "args_max", "vote", "reasoning_mean"];
        assert_eq!(names[..first.len()], first);
    }
}
