//! A decoded action with its figures, and the sequence that ends with it.
use crate::agent::{Action, CallTokens, ParseError};
use crate::base::{SeqId, TokenEntropy, ToolName};
use crate::engine::Finish;
use crate::record::{Candidate, StepOutcome};

/// A candidate of a step that is being decided.
#[derive(Clone, Debug)]
pub struct Draft {
    pub candidate: Candidate,
    /// The action, read once.
    pub action: Result<Action, ParseError>,
    pub seq: SeqId,
    /// An edit that gives back what the file holds, on a branch that has yet to
    /// change something.
    pub is_copy: bool,
    /// The place of the call in it, if there is one.
    pub call: Option<CallTokens>,
    /// How its decoding ended.
    pub finish: Finish,
    /// The grammar that held it; `None`: the step's own.
    pub grammar: Option<String>,
}

impl Draft {
    /// True for an edit that was carried out in a copy and speaks against itself.
    pub fn has_failed(&self) -> bool {
        self.candidate.has_failed()
    }

    /// True for one that was carried out in a copy and passes the check.
    pub fn has_passed(&self) -> bool {
        let tried = self.candidate.tried.as_ref();
        tried.is_some_and(|tried| tried.outcome == StepOutcome::TestsPassed)
    }

    /// True for an action that changes a file.
    pub fn is_edit(&self) -> bool {
        let tool = self.candidate.tool.as_deref().and_then(ToolName::named);
        tool.is_some_and(ToolName::changes_files)
    }

    /// The action's tokens.
    pub fn tokens(&self) -> &[TokenEntropy] {
        &self.candidate.tokens
    }

    /// Tokens in the place of which another would make it another action: free
    /// tokens of the place that the thought names, of the tool's name, and of
    /// the arguments, each with the entropy over what may be taken there, nats;
    /// the least sure first, the earlier of equals.
    pub fn choices(&self) -> Vec<Choice> {
        let Some(call) = &self.call else {
            return Vec::new();
        };
        let name = call.name_at..call.arguments.start;
        let spans = [call.place.clone(), name, call.arguments.clone()];
        let mut choices: Vec<Choice> = spans
            .into_iter()
            .flatten()
            .filter_map(|at| Choice::at(self.tokens(), at))
            .collect();
        choices.sort_by(|a, b| b.nats.total_cmp(&a.nats).then(a.at.cmp(&b.at)));
        choices.dedup_by_key(|choice| choice.at);
        choices
    }

    /// The first token at which the model had a choice at all.
    pub fn first_choice(&self) -> Option<Choice> {
        (0..self.tokens().len()).find_map(|at| Choice::at(self.tokens(), at))
    }
}

/// A token that could have been another one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// Index in the action's tokens.
    pub at: usize,
    /// Entropy after the grammar's mask, where there is one: what the mask
    /// takes away cannot be chosen.
    pub nats: f32,
}

impl Choice {
    fn at(tokens: &[TokenEntropy], at: usize) -> Option<Self> {
        let token = tokens.get(at).filter(|token| !token.forced)?;
        let nats = token.masked_entropy_nats.unwrap_or(token.entropy_nats);
        Some(Self { at, nats })
    }

    /// How many other tokens the model holds possible here: the perplexity,
    /// which is the number of equally likely tokens of that entropy, rounded,
    /// less one.
    pub fn others(self) -> usize {
        (self.nats.exp().round() as usize).saturating_sub(1)
    }
}
