//! A decoded action, read: its call, its canonical form, its figures.
use super::start::Start;
use super::{Decoder, SearchError};
use crate::agent::{changes_nothing, locate_call, n_reasoning_tokens, parse};
use crate::base::{SeqId, TokenEntropy};
use crate::decode::{DecodedAction, action_entropy};
use crate::engine::Finish;
use crate::record::{Candidate, token_pieces};
use crate::search::draft::Draft;
use crate::search::state::RunState;

/// The part of a candidate that is known before it is decoded.
#[derive(Clone, Debug, Default)]
pub(super) struct Origin {
    /// Tokens that it shares with the action that it left.
    pub shared: Vec<TokenEntropy>,
    pub temperature: f32,
}

impl Decoder<'_> {
    /// Reads a decoded action. `tail` is what was decoded behind what it shares
    /// with the action that it left.
    pub(super) fn draft(
        &self,
        state: &RunState,
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
        let is_copy = !state.has_work(start.branch)
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
            action: parsed,
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
        state: &RunState,
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
        let mut draft = self.draft(state, start, origin, candidate.tokens.clone(), seq);
        draft.candidate.forked_at = candidate.forked_at;
        draft.candidate.judge = candidate.judge.clone();
        draft.candidate.entropy = candidate.entropy.clone();
        Ok(draft)
    }
}
