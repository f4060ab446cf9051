//! What is held against the outcome, and of what.
use crate::base::GateSignal;
use serde::Serialize;

/// A figure of an action that may tell whether its trajectory fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Score {
    Tool,
    ArgsMean,
    ArgsMax,
    Vote,
    ReasoningMean,
    /// Mean entropy of the free tokens that are no syntax, thought included and reasoning not.
    ContentMean,
    /// Tokens: a control.
    Length,
    /// Share of the free tokens that are syntax: a control.
    SyntaxShare,
}

impl Score {
    pub const ALL: [Self; 8] = [
        Self::Tool,
        Self::ArgsMean,
        Self::ArgsMax,
        Self::Vote,
        Self::ReasoningMean,
        Self::ContentMean,
        Self::Length,
        Self::SyntaxShare,
    ];

    /// The name used in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::ContentMean => "content_mean",
            Self::Length => "length",
            Self::SyntaxShare => "syntax_share",
            Self::Tool => GateSignal::Tool.name(),
            Self::ArgsMean => GateSignal::ArgsMean.name(),
            Self::ArgsMax => GateSignal::ArgsMax.name(),
            Self::Vote => GateSignal::Vote.name(),
            Self::ReasoningMean => GateSignal::ReasoningMean.name(),
        }
    }

    /// True for what entropy is controlled for.
    pub fn is_control(self) -> bool {
        matches!(self, Self::Length | Self::SyntaxShare)
    }
}

impl From<GateSignal> for Score {
    fn from(signal: GateSignal) -> Self {
        match signal {
            GateSignal::Tool => Self::Tool,
            GateSignal::ArgsMean => Self::ArgsMean,
            GateSignal::ArgsMax => Self::ArgsMax,
            GateSignal::Vote => Self::Vote,
            GateSignal::ReasoningMean => Self::ReasoningMean,
        }
    }
}

/// What a score is of: one step, or a trajectory's steps taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Step,
    /// The mean over a trajectory's steps; content over all its tokens.
    TrajectoryMean,
    TrajectoryMax,
    TrajectoryLast,
}

impl Level {
    pub const ALL: [Self; 4] = [
        Self::Step,
        Self::TrajectoryMean,
        Self::TrajectoryMax,
        Self::TrajectoryLast,
    ];

    /// The name used in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::TrajectoryMean => "trajectory, mean",
            Self::TrajectoryMax => "trajectory, largest",
            Self::TrajectoryLast => "trajectory, last",
        }
    }
}
