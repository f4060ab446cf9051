//! Models other than the agent's: they judge or vote, and read contexts as text.
use super::SearchError;
use crate::agent::{Dialect, encode};
use crate::base::{Purpose, SeqId, UsageByPurpose};
use crate::engine::{Engine, EngineError, PrefixCache};

/// Another model, opened.
pub struct OtherModel<'a> {
    /// As the strategy names it.
    pub name: String,
    pub engine: &'a mut (dyn Engine + Send),
    pub dialect: &'a (dyn Dialect + Sync),
}

impl OtherModel<'_> {
    /// The error of this model's engine: making room in the agent's own pool
    /// does not help it.
    pub(in crate::search) fn no_room(&self, error: EngineError) -> SearchError {
        match error {
            EngineError::KvPoolFull { .. } | EngineError::ContextFull { .. } => {
                SearchError::NoRoom {
                    name: self.name.clone(),
                }
            }
            error => error.into(),
        }
    }

    /// A sequence a text, each told as a work to be rated.
    pub(in crate::search) fn read(
        &mut self,
        texts: &[String],
        purpose: Purpose,
    ) -> Result<Vec<SeqId>, SearchError> {
        let mut seqs = Vec::with_capacity(texts.len());
        for text in texts {
            let prompt = self.dialect.prompt(READER, text);
            let tokens = encode(self.engine.vocabulary(), &prompt);
            let seq = self.engine.new_sequence(PrefixCache::Use);
            seqs.push(seq);
            if let Err(error) = self.engine.append(seq, &tokens, purpose) {
                seqs.iter().for_each(|&seq| self.engine.release(seq));
                return Err(self.no_room(error));
            }
        }
        Ok(seqs)
    }
}

const READER: &str = "You are shown the work of another programmer: the task, then each action and its result. Read it; you will be asked about it.";

/// The other models of a run.
#[derive(Default)]
pub struct Others<'a>(pub Vec<OtherModel<'a>>);

impl<'a> Others<'a> {
    /// The same models for a shorter time.
    pub fn reborrow(&mut self) -> Others<'_> {
        let models = self.0.iter_mut().map(|other| OtherModel {
            name: other.name.clone(),
            engine: &mut *other.engine,
            dialect: other.dialect,
        });
        Others(models.collect())
    }

    pub(in crate::search) fn named(
        &mut self,
        name: &str,
    ) -> Result<&mut OtherModel<'a>, SearchError> {
        let found = self.0.iter_mut().find(|other| other.name == name);
        found.ok_or_else(|| SearchError::NoModel {
            name: name.to_owned(),
        })
    }

    /// Their spending, all together.
    pub(in crate::search) fn usage(&self) -> UsageByPurpose {
        let mut sum = UsageByPurpose::default();
        for other in &self.0 {
            sum += other.engine.usage();
        }
        sum
    }
}
