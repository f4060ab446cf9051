//! The search's requests to models: first actions, siblings, exact entropies, judgements.
//!
//! It reads the state of the run and writes nothing but sequences: forks of the KV cache, which
//! can be computed anew from the record.
mod entropies;
mod judge;
mod lead;
mod others;
mod reading;
mod rollout;
mod sequences;
mod sites;
mod start;
mod votes;

pub use judge::{JUDGE_CALL, JUDGE_TRAJECTORY, judge};
pub use others::{OtherModel, Others};
pub use sequences::Sequences;

use super::error::SearchError;
use super::state::RunState;
use super::views::Views;
use super::watch::Watcher;
use crate::agent::{AgentConfig, Dialect};
use crate::base::{BranchId, SeqId, Strategy, UsageByPurpose};
use crate::engine::{Engine, Finish, GenerateJob, Generated, Progress};
use start::Start;
use std::sync::Arc;

/// The models of a run, and the sequences that they hold.
pub struct Decoder<'a> {
    pub engine: &'a mut dyn Engine,
    /// Models that judge or vote beside it.
    pub others: Others<'a>,
    pub dialect: &'a dyn Dialect,
    pub strategy: &'a Strategy,
    pub config: &'a AgentConfig,
    pub views: &'a Views<'a>,
    pub watcher: &'a dyn Watcher,
    stop_tokens: Vec<u32>,
    pub sequences: Sequences,
    /// Branches at the start of the step that is being decided.
    starts: Vec<Arc<Start>>,
    /// All room there is has been made for what is being done: what does not fit
    /// now, never will.
    made_room: bool,
}

impl<'a> Decoder<'a> {
    pub fn new(
        engine: &'a mut dyn Engine,
        others: Others<'a>,
        dialect: &'a dyn Dialect,
        (strategy, config): (&'a Strategy, &'a AgentConfig),
        views: &'a Views<'a>,
        watcher: &'a dyn Watcher,
    ) -> Self {
        Self {
            stop_tokens: dialect.stop_tokens(engine.vocabulary()),
            engine,
            others,
            dialect,
            strategy,
            config,
            views,
            watcher,
            sequences: Sequences::default(),
            starts: Vec::new(),
            made_room: false,
        }
    }

    /// The usage that all engines have counted.
    pub fn used(&self) -> UsageByPurpose {
        let mut used = self.engine.usage();
        used += self.others.usage();
        used
    }

    /// Gives every sequence back.
    pub fn release_all(&mut self) {
        self.starts.clear();
        self.sequences.release_all(self.engine);
    }

    /// Says whether everything else was released for what comes now.
    pub fn set_made_room(&mut self, made_room: bool) {
        self.made_room = made_room;
    }

    /// Does `work`; if the pool is too full for it, once more with an empty pool.
    /// A sequence that was given back is computed anew from the record when it is needed.
    pub fn with_room<T>(
        &mut self,
        mut work: impl FnMut(&mut Self) -> Result<T, SearchError>,
    ) -> Result<T, SearchError> {
        match work(self) {
            Err(error) if error.is_pool_full() => {
                self.release_all();
                self.made_room = true;
                let result = work(self);
                self.made_room = false;
                result
            }
            result => result,
        }
    }

    /// The sequence of a branch, as [`Sequences::of_branch`]; the watcher is told how far it is.
    pub fn sequence_of(
        &mut self,
        state: &RunState,
        branch: BranchId,
        share_prompt: bool,
    ) -> Result<SeqId, SearchError> {
        let watcher = self.watcher;
        let on_step = &mut |progress: Progress<'_>| watcher.progress(&progress);
        let engine = &mut *self.engine;
        let held = self
            .sequences
            .of_branch(engine, state, branch, share_prompt, on_step);
        Ok(held?)
    }

    /// A sequence's tokens, as text.
    pub fn text_of(&self, seq: SeqId) -> String {
        self.engine.vocabulary().decode(self.engine.tokens(seq))
    }

    fn generate(&mut self, jobs: &[GenerateJob]) -> Result<Vec<Generated>, SearchError> {
        let watcher = self.watcher;
        let generated = self
            .engine
            .generate(jobs, &mut |progress| watcher.progress(&progress))?;
        let is_cut = |generated: &Generated| generated.finish == Finish::KvPoolFull;
        if !self.made_room && generated.iter().any(is_cut) {
            return Err(SearchError::Crowded);
        }
        Ok(generated)
    }

    /// A branch at the start of the step that is being decided.
    fn start_of(&self, branch: BranchId) -> Arc<Start> {
        let found = self.starts.iter().find(|start| start.branch == branch);
        Arc::clone(found.expect("a step that is being decided was started"))
    }
}
