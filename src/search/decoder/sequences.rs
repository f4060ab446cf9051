//! Which sequence of the engine holds which branch. A cache: the record alone
//! can rebuild it, at the price of a prefill.
use crate::base::{BranchId, Purpose, SeqId, StepId};
use crate::engine::{Engine, EngineError, PrefixCache, Progress};
use crate::search::state::RunState;
use std::collections::HashMap;

/// Sequences by what they hold.
#[derive(Default)]
pub struct Sequences {
    /// The prompt, computed once.
    trunk: Option<SeqId>,
    branches: HashMap<BranchId, SeqId>,
    /// Candidates that were decoded and not taken: step and index.
    spares: HashMap<(StepId, usize), SeqId>,
}

impl Sequences {
    /// The sequence of a living branch: at hand, forked off what shares most of
    /// it, or computed anew.
    ///
    /// `share_prompt` false computes a branch from the prompt with an empty
    /// cache, as a caller of an API would.
    pub fn of_branch(
        &mut self,
        engine: &mut dyn Engine,
        state: &RunState,
        branch: BranchId,
        share_prompt: bool,
        on_step: &mut dyn FnMut(Progress<'_>),
    ) -> Result<SeqId, EngineError> {
        let tokens = state.tokens(branch);
        // Its own sequence lacks the last observation, or nothing.
        if let Some(&seq) = self.branches.get(&branch)
            && tokens.starts_with(engine.tokens(seq))
        {
            let held = engine.tokens(seq).len();
            if held < tokens.len() {
                engine.append(seq, &tokens[held..], Purpose::Agent)?;
            }
            return Ok(seq);
        }
        let is_held = self.longest_holder(engine, &tokens).is_some();
        let seq = if share_prompt && is_held {
            self.holding(engine, &tokens)?
        } else {
            let prefix = match share_prompt {
                true => PrefixCache::Use,
                false => PrefixCache::Bypass,
            };
            let seq = engine.new_sequence(prefix);
            engine.append(seq, &tokens, Purpose::Agent)?;
            engine.compute(&[seq], Purpose::Agent, on_step)?;
            if share_prompt && self.trunk.is_none() {
                let len = state.start.prompt_tokens.len();
                self.trunk = Some(engine.fork(seq, len, Purpose::Agent));
            }
            seq
        };
        self.set_branch(engine, branch, seq);
        Ok(seq)
    }

    /// A new sequence of these tokens, forked off the one at hand that shares
    /// most of them. It is the caller's.
    pub fn holding(&self, engine: &mut dyn Engine, tokens: &[u32]) -> Result<SeqId, EngineError> {
        let Some((holder, shared)) = self.longest_holder(engine, tokens) else {
            let seq = engine.new_sequence(PrefixCache::Use);
            engine.append(seq, tokens, Purpose::Agent)?;
            return Ok(seq);
        };
        let seq = engine.fork(holder, shared, Purpose::Agent);
        engine.append(seq, &tokens[shared..], Purpose::Agent)?;
        Ok(seq)
    }

    /// The living sequence with the longest common start, and its length.
    fn longest_holder(&self, engine: &dyn Engine, tokens: &[u32]) -> Option<(SeqId, usize)> {
        let all = self
            .trunk
            .iter()
            .chain(self.branches.values())
            .chain(self.spares.values());
        let shared = |seq: SeqId| {
            engine
                .tokens(seq)
                .iter()
                .zip(tokens)
                .take_while(|(a, b)| a == b)
                .count()
        };
        // Ties go to the oldest sequence, so that runs repeat.
        all.map(|&seq| (seq, shared(seq)))
            .filter(|&(_, len)| len > 0)
            .max_by_key(|&(seq, len)| (len, std::cmp::Reverse(seq)))
    }

    /// Takes `seq` as the branch's own; the one it had is given back.
    pub fn set_branch(&mut self, engine: &mut dyn Engine, branch: BranchId, seq: SeqId) {
        if let Some(old) = self.branches.insert(branch, seq).filter(|&old| old != seq) {
            engine.release(old);
        }
    }

    pub fn keep_spare(&mut self, step: StepId, candidate: usize, seq: SeqId) {
        self.spares.insert((step, candidate), seq);
    }

    /// Hands out a candidate's sequence; it is the caller's from then on.
    pub fn take_spare(&mut self, step: StepId, candidate: usize) -> Option<SeqId> {
        self.spares.remove(&(step, candidate))
    }

    /// True for a sequence that is some branch's own.
    pub fn is_branch(&self, seq: SeqId) -> bool {
        self.branches.values().any(|&own| own == seq)
    }

    /// Lets go of a branch's sequence without giving it back.
    pub fn forget_branch(&mut self, branch: BranchId) {
        self.branches.remove(&branch);
    }

    /// Gives back every sequence of the engine: those at hand, and what a step
    /// that failed in its midst left behind.
    pub fn release_all(&mut self, engine: &mut dyn Engine) {
        *self = Self::default();
        for seq in engine.living() {
            engine.release(seq);
        }
    }
}
