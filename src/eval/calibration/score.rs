//! What is held against the outcome, and of what.
use crate::base::GateSignal;
use serde::{Serialize, Serializer};

/// A figure of an action that may tell whether its trajectory fails. Serialises as its
/// name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Score {
    Signal(GateSignal),
    /// Mean entropy of the free tokens that are no syntax, thought included and reasoning not.
    ContentMean,
    /// Tokens: a control.
    Length,
    /// Share of the free tokens that are syntax: a control.
    SyntaxShare,
}

impl Score {
    /// Every signal, then what is no gate's.
    pub fn all() -> impl Iterator<Item = Self> {
        let signals = GateSignal::ALL.into_iter().map(Self::Signal);
        signals.chain([Self::ContentMean, Self::Length, Self::SyntaxShare])
    }

    /// The name used in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Signal(signal) => signal.name(),
            Self::ContentMean => "content_mean",
            Self::Length => "length",
            Self::SyntaxShare => "syntax_share",
        }
    }

    /// True for what entropy is controlled for.
    pub fn is_control(self) -> bool {
        match self {
            Self::Signal(_) | Self::ContentMean => false,
            Self::Length | Self::SyntaxShare => true,
        }
    }
}

impl Serialize for Score {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl From<GateSignal> for Score {
    fn from(signal: GateSignal) -> Self {
        Self::Signal(signal)
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
