//! Exact entropies of a decoded action, from full logits behind forks.
//!
//! At the tool's name the engine scores every allowed name behind the sequence on forked
//! tails, in one batch; the mass outside of the allowed names is a figure of its own.
use super::start::Start;
use super::{Decoder, SearchError};
use crate::agent::LocationChoice;
use crate::base::{ChoiceEntropy, Location, Purpose};
use crate::decode::ChoicePaths;
use crate::engine::{EngineError, ScoreJob};
use crate::search::draft::Draft;

impl Decoder<'_> {
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
        locations: &[Location],
        start: &Start,
        draft: &Draft,
    ) -> Result<Option<ChoiceEntropy>, SearchError> {
        let Some(call) = draft.call.as_ref().filter(|_| start.is_locating) else {
            return Ok(None);
        };
        let choice = LocationChoice::new(
            locations,
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
