//! All that a decision of the search rests on.
use super::round::Round;
use super::state::RunState;
use crate::agent::AgentConfig;
use crate::base::Strategy;

/// The settings that a decision goes by.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    pub strategy: &'a Strategy,
    pub config: &'a AgentConfig,
}

/// Figures of the moment, which the record does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Tokens of a sequence at most.
    pub context_max: usize,
    /// Decoded + computed tokens of the run, those included that no event has counted yet.
    pub spent_tokens: u64,
    /// The search's time is over.
    pub is_over: bool,
}

/// All that a decision rests on.
#[derive(Clone, Copy)]
pub(super) struct Deciding<'a> {
    pub state: &'a RunState,
    pub round: &'a Round,
    pub rules: &'a Rules<'a>,
    pub facts: &'a Facts,
}
