//! A run's search: asks what comes next, does it, and records what happened.
use super::clock::Clock;
use super::command::Command;
use super::deciding::{Facts, Rules};
use super::decoder::Decoder;
use super::error::SearchError;
use super::fold::fold;
use super::next::next;
use super::patch::{code_of, patch_of};
use super::recorder::Recorder;
use super::round::Round;
use super::watch::Watcher;
use super::workspaces::Workspaces;
use crate::agent::{AgentConfig, Observation, encode_observation};
use crate::base::{BranchDecision, BranchId, Deadline, StepId, Strategy, UsageByPurpose};
use crate::engine::Finish;
use crate::record::{
    BranchEnded, BranchStarted, BranchStatus, Event, ForkPoint, StepFinished, Tried,
};
use crate::workspace::{StoredPatch, TreeId};

/// Everything that a run works with. The state of the run is the recorder's;
/// the rest can be made again from it.
pub struct Search<'a> {
    pub(super) decoder: Decoder<'a>,
    pub(super) workspaces: Workspaces<'a>,
    pub(super) recorder: &'a mut Recorder,
    pub(super) strategy: &'a Strategy,
    pub(super) config: &'a AgentConfig,
    pub(super) watcher: &'a dyn Watcher,
    pub(super) clock: Clock,
    /// The engines' usage when the last event was recorded.
    pub(super) recorded: UsageByPurpose,
}

impl Search<'_> {
    /// Does one command after another until there is none. Work that the search's deadline cuts
    /// short is left out of the record, as if it had not begun.
    pub fn search(&mut self) -> Result<(), SearchError> {
        self.recorded = self.decoder.used();
        let deadline = self.clock.search();
        self.set_deadline(deadline);
        let mut round = Round::of(&self.recorder.state);
        let mut is_over = false;
        loop {
            if !is_over && deadline.is_over() {
                is_over = true;
                round = Round::default();
                self.decoder.release_all();
                // Branches are ended, tested and ranked in the time that is left.
                self.set_deadline(self.clock.end());
            }
            let rules = Rules {
                strategy: self.strategy,
                config: self.config,
            };
            let facts = Facts {
                context_max: self.decoder.engine.context_max(),
                spent_tokens: self.spent_tokens(),
                is_over,
            };
            let command = next(&self.recorder.state, &round, &rules, &facts);
            if command == Command::Stop {
                break;
            }
            match self.obey(command, &mut round) {
                Err(error) if error.is_pool_full() => {
                    self.decoder.release_all();
                    round.crowd();
                }
                Err(_) if !is_over && deadline.is_over() => {}
                done => done?,
            }
        }
        self.set_deadline(self.clock.end());
        Ok(())
    }

    fn set_deadline(&mut self, deadline: Deadline) {
        self.workspaces.sandbox.set_deadline(deadline);
        self.decoder.engine.set_deadline(deadline);
        for other in &mut self.decoder.others.0 {
            other.engine.set_deadline(deadline);
        }
    }

    /// Carries a command out; `round` is what it then is.
    fn obey(&mut self, command: Command, round: &mut Round) -> Result<(), SearchError> {
        let state = &self.recorder.state;
        match command {
            Command::Open {
                forked_from,
                reason,
            } => self.open(forked_from, reason),
            Command::Fold { branch } => {
                round.folded.push(branch);
                self.fold(branch)
            }
            Command::Propose { branches } => {
                round.begin(state, &branches);
                if round.is_alone && !round.made_room {
                    self.decoder.release_all();
                }
                self.decoder.set_made_room(round.made_room);
                round.proposals = self.decoder.propose(state, &branches)?;
                Ok(())
            }
            Command::Decide { branch, decision } => {
                round.proposal(branch).decision = Some(decision);
                Ok(())
            }
            Command::RollOut(rollout) => {
                let proposal = round.proposal(rollout.branch);
                self.decoder.roll_out(state, proposal, &rollout)
            }
            Command::TakeUp {
                branch,
                step,
                index,
            } => {
                let proposal = round.proposal(branch);
                self.decoder.take_up(state, proposal, (step, index))
            }
            Command::TryOut { branch, index } => {
                let draft = &mut round.proposal(branch).drafts[index];
                let tried = self
                    .workspaces
                    .try_out(state, branch, index, &draft.action)?;
                draft.candidate.tried = Some(tried);
                Ok(())
            }
            Command::Judge { branch } => self.decoder.judge_step(round.proposal(branch)),
            Command::CarryOut {
                branch,
                chosen,
                decision,
            } => self.carry_out(branch, chosen, decision, round),
            Command::End { branch, status } => {
                self.end_branch(branch, status)?;
                round.done(branch);
                Ok(())
            }
            Command::CloseRound => {
                *round = Round::default();
                self.decoder.set_made_room(false);
                Ok(())
            }
            Command::Stop => Ok(()),
        }
    }

    fn open(&mut self, forked_from: Option<ForkPoint>, reason: String) -> Result<(), SearchError> {
        let branch = BranchId(self.recorder.state.branches.len() as u32);
        self.emit(Event::BranchStarted(BranchStarted {
            branch,
            forked_from,
            reason,
        }))
    }

    /// Folds a branch's oldest observations, as far as there are any.
    fn fold(&mut self, branch: BranchId) -> Result<(), SearchError> {
        let n_kept = self.config.limits().unfolded_min as usize;
        let (engine, dialect) = (&*self.decoder.engine, self.decoder.dialect);
        let render = |step: &StepFinished, text: &str| {
            let action = &step.candidates[step.chosen].tokens;
            let last = action.last().map(|token| token.token);
            encode_observation(engine.vocabulary(), dialect, text, last)
        };
        let state = &self.recorder.state;
        match fold(state, branch, n_kept, engine.context_max(), render) {
            Some(folded) => self.emit(Event::Folded(folded)),
            None => Ok(()),
        }
    }

    /// Carries out the chosen candidate and records the finished step.
    fn carry_out(
        &mut self,
        branch: BranchId,
        chosen: usize,
        decision: BranchDecision,
        round: &mut Round,
    ) -> Result<(), SearchError> {
        let state = &self.recorder.state;
        let drafts = &round.proposal(branch).drafts;
        let taken = &drafts[chosen];
        let (observation, tree) = match taken.candidate.tried.clone() {
            // It was carried out to be judged.
            Some(tried) => seen(tried),
            None => self.workspaces.carry_out(state, branch, &taken.action)?,
        };
        let (seq, finish) = (taken.seq, taken.finish);
        let engine = &*self.decoder.engine;
        let observation_tokens = encode_observation(
            engine.vocabulary(),
            self.decoder.dialect,
            &observation.text,
            engine.tokens(seq).last().copied(),
        );
        let step = StepId(state.steps.len() as u32);
        let depth = state.branch(branch).steps.len() as u32;
        let seqs: Vec<_> = drafts.iter().map(|draft| draft.seq).collect();
        let candidates = drafts.iter().map(|draft| draft.candidate.clone()).collect();
        let usage = self.take_usage();
        self.emit(Event::StepFinished(StepFinished {
            step,
            branch,
            depth,
            candidates,
            chosen,
            decision,
            outcome: observation.outcome,
            observation: observation.text,
            cuts: observation.cuts,
            observation_tokens,
            tree: tree.0,
            usage,
        }))?;
        let sequences = &mut self.decoder.sequences;
        for (index, &other) in seqs.iter().enumerate() {
            if index == chosen {
                continue;
            }
            if sequences.is_branch(other) {
                // The branch goes on with a sibling: its own first candidate
                // becomes a spare.
                sequences.forget_branch(branch);
            }
            sequences.keep_spare(step, index, other);
        }
        sequences.set_branch(self.decoder.engine, branch, seq);
        round.done(branch);
        let cut = match finish {
            Finish::ContextFull => Some(BranchStatus::ContextFull),
            Finish::KvPoolFull => Some(BranchStatus::KvPoolFull),
            Finish::Stop | Finish::GrammarEnd | Finish::TokensMax => None,
        };
        round.given_up.extend(cut.map(|status| (branch, status)));
        Ok(())
    }

    /// Takes the branch's patch and ends it.
    fn end_branch(&mut self, branch: BranchId, status: BranchStatus) -> Result<(), SearchError> {
        let usage = self.take_usage();
        let (state, bench) = (&self.recorder.state, self.workspaces.bench);
        let (
            StoredPatch {
                text: patch,
                ignored,
                ..
            },
            parts,
        ) = patch_of(bench, &state.start, state.tree(branch))?;
        // Of one trajectory there is nothing to compare it with.
        let code = match patch.is_empty() || self.strategy.n == 1 {
            true => None,
            false => match code_of(bench, state.tree(branch)) {
                // Patches are compared by their text then.
                Err(_) if self.clock.end().is_over() => None,
                code => code?,
            },
        };
        let signal = state.gate_signal();
        let ended = BranchEnded {
            branch,
            status,
            patch,
            ignored,
            parts,
            score: state.judge_mean(branch),
            entropy_mean_nats: signal.and_then(|signal| state.signal_mean(branch, signal)),
            code,
            usage,
        };
        self.emit(Event::BranchEnded(ended))?;
        self.workspaces.remove(branch);
        Ok(())
    }

    /// Decoded + computed tokens of the run, what is not recorded yet included.
    pub(super) fn spent_tokens(&self) -> u64 {
        let used = self.decoder.used();
        let unrecorded = used.total().spent_tokens() - self.recorded.total().spent_tokens();
        self.recorder.state.usage.total().spent_tokens() + unrecorded
    }

    pub(super) fn emit(&mut self, event: Event) -> Result<(), SearchError> {
        self.watcher.event(&event, &self.recorder.state);
        Ok(self.recorder.emit(event)?)
    }

    /// The engines' spending since the last event that took it.
    pub(super) fn take_usage(&mut self) -> UsageByPurpose {
        let now = self.decoder.used();
        let spent = now.since(&self.recorded);
        self.recorded = now;
        spent
    }

    /// Gives every sequence back.
    pub fn release(&mut self) {
        self.decoder.release_all();
    }
}

/// The observation of an action that was carried out in a copy, and the tree after it.
fn seen(tried: Tried) -> (Observation, TreeId) {
    let observation = Observation {
        text: tried.observation,
        outcome: tried.outcome,
        cuts: tried.cuts,
    };
    (observation, TreeId(tried.tree))
}
