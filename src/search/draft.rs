//! A decoded action with its figures, and the sequence that ends with it.
use super::controller::{Controller, SearchError};
use super::start::Start;
use crate::agent::{
    CallTokens, LocationChoice, changes_nothing, locate_call, n_reasoning_tokens, parse,
};
use crate::base::{ChoiceEntropy, Purpose, SeqId, TokenEntropy};
use crate::decode::{ChoicePaths, DecodedAction, action_entropy};
use crate::engine::{EngineError, Finish, ScoreJob};
use crate::record::{Candidate, token_pieces};

/// What will be a candidate of a step.
pub(super) struct Draft {
    pub candidate: Candidate,
    pub seq: SeqId,
    /// An edit that gives back what the file holds, on a branch that has yet to
    /// change something.
    pub is_copy: bool,
    /// Where in it the call stands, if there is one.
    pub call: Option<CallTokens>,
    /// How its decoding ended.
    pub finish: Finish,
    /// What held it; `None` for what the step's own grammar held.
    pub grammar: Option<String>,
}

impl Draft {
    /// True for an edit that was carried out in a copy and speaks against itself.
    pub fn has_failed(&self) -> bool {
        self.candidate.has_failed()
    }

    /// The action's tokens.
    pub fn tokens(&self) -> &[TokenEntropy] {
        &self.candidate.tokens
    }

    /// Where another token could be taken that makes it another action: free
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
pub(super) struct Choice {
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

/// What of a candidate is known before it is decoded.
#[derive(Clone, Debug, Default)]
pub(super) struct Origin {
    /// Tokens that it shares with the action that it left.
    pub shared: Vec<TokenEntropy>,
    pub temperature: f32,
}

impl Controller<'_> {
    /// Reads a decoded action. `tail` is what was decoded behind what it shares
    /// with the action that it left.
    pub(super) fn draft(
        &self,
        start: &Start,
        origin: Origin,
        tail: Vec<TokenEntropy>,
        seq: SeqId,
    ) -> Draft {
        let vocabulary = self.engine.vocabulary();
        let forked_at = origin.shared.len();
        let tokens = [origin.shared, tail].concat();
        let ids: Vec<u32> = tokens.iter().map(|token| token.token).collect();
        let text = vocabulary.decode(&ids);
        let calls = self.dialect.calls();
        let parsed = parse(calls, &start.tools, &text);
        let call = locate_call(vocabulary, calls, &ids);
        let n_reasoning = n_reasoning_tokens(vocabulary, &ids);
        let arguments = call
            .as_ref()
            .map_or(n_reasoning..ids.len(), |call| call.arguments.clone());
        let is_copy = !self.recorder.state.has_work(start.branch)
            && parsed
                .as_ref()
                .is_ok_and(|action| changes_nothing(&start.view, action));
        let pieces = token_pieces(&ids, |token| vocabulary.token_bytes(token));
        let candidate = Candidate {
            tool: parsed
                .as_ref()
                .ok()
                .map(|action| action.tool().name().to_owned()),
            canonical: match &parsed {
                Ok(action) => action.canonical(),
                Err(_) => format!("unreadable: {}", text.trim()),
            },
            entropy: action_entropy(&DecodedAction {
                tokens: &tokens,
                pieces: &pieces,
                arguments,
                n_reasoning,
            }),
            pieces,
            tokens,
            judge: None,
            merged: 1,
            forked_at,
            temperature: origin.temperature,
            tried: None,
            text,
        };
        Draft {
            candidate,
            seq,
            is_copy,
            call,
            finish: Finish::GrammarEnd,
            grammar: None,
        }
    }

    /// A candidate that was decoded earlier, on a sequence that ends with it.
    pub(super) fn redraft(
        &mut self,
        start: &Start,
        candidate: &Candidate,
    ) -> Result<Draft, SearchError> {
        let ids = candidate.tokens.iter().map(|token| token.token);
        let tokens: Vec<u32> = self.engine.tokens(start.seq)[..start.len]
            .iter()
            .copied()
            .chain(ids)
            .collect();
        let seq = self.sequences.holding(self.engine, &tokens)?;
        let origin = Origin {
            shared: Vec::new(),
            temperature: candidate.temperature,
        };
        let mut draft = self.draft(start, origin, candidate.tokens.clone(), seq);
        draft.candidate.forked_at = candidate.forked_at;
        draft.candidate.judge = candidate.judge.clone();
        draft.candidate.entropy = candidate.entropy.clone();
        Ok(draft)
    }

    /// Exact tool entropy of a decoded action: each allowed name's probability
    /// where the name starts.
    pub(super) fn tool_entropy(
        &mut self,
        start: &Start,
        draft: &Draft,
    ) -> Result<Option<ChoiceEntropy>, SearchError> {
        let Some(call) = &draft.call else {
            return Ok(None);
        };
        let names = start.tools.tool_names_with_delimiter(self.dialect.calls());
        let names: Vec<(String, Vec<u32>)> = names
            .into_iter()
            .map(|(name, text)| {
                let text = format!("{}{text}", call.name_opening);
                (name, self.engine.vocabulary().encode(&text))
            })
            .collect();
        if names.len() < 2 {
            return Ok(None);
        }
        let Ok(paths) = ChoicePaths::new(names) else {
            return Ok(None);
        };
        let seq = self
            .engine
            .fork(draft.seq, start.len + call.name_at, Purpose::Agent);
        let job = ScoreJob {
            seq,
            continuations: paths.continuations().to_vec(),
            purpose: Purpose::Agent,
        };
        let scores = self.engine.score(&[job]);
        self.engine.release(seq);
        if let Err(EngineError::ContextFull { .. }) = scores {
            return Ok(None);
        }
        let scores = scores?.pop().expect("one result a job");
        Ok(Some(
            paths
                .entropy(&scores)
                .map_err(|error| SearchError::Signal(error.to_string()))?,
        ))
    }

    /// Exact entropy over the run's locations, of a decoded call that views one.
    pub(super) fn location_entropy(
        &mut self,
        start: &Start,
        draft: &Draft,
    ) -> Result<Option<ChoiceEntropy>, SearchError> {
        let Some(call) = draft.call.as_ref().filter(|_| start.is_locating) else {
            return Ok(None);
        };
        let choice = LocationChoice::new(
            &self.recorder.state.start.locations,
            self.dialect.calls(),
            self.engine.vocabulary(),
            &call.name_opening,
        );
        let Some(choice) = choice else {
            return Ok(None);
        };
        let at = start.len + call.name_at;
        let seq = self.engine.fork(draft.seq, at, Purpose::Agent);
        let measured = choice.measure(self.engine, seq);
        self.engine.release(seq);
        Ok(measured?)
    }
}
