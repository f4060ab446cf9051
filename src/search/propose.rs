//! What a branch does next: decode an action, measure it, roll it out where it
//! is uncertain, judge the candidates, choose.
use super::controller::{Controller, SearchError};
use super::draft::{Draft, Origin};
use super::rollout::Ask;
use super::start::Start;
use crate::base::{
    BranchDecision, BranchId, BranchPolicy, Gate, GateSignal, Recovery, SamplerSettings, SeqId,
    StepId, ToolName,
};
use crate::decode::{AskedGate, BranchAsk, BranchRoom};
use crate::engine::{Finish, GenerateJob, Generated};
use crate::record::Candidate;

/// A step that is decided but not carried out.
pub struct Proposal {
    pub branch: BranchId,
    /// Distinct candidates, each with the sequence that ends with it.
    pub candidates: Vec<(Candidate, SeqId)>,
    pub chosen: usize,
    pub decision: BranchDecision,
    /// How the chosen candidate's decoding ended.
    pub finish: Finish,
}

impl Proposal {
    fn new(start: &Start, drafts: Vec<Draft>, chosen: usize, decision: BranchDecision) -> Self {
        let finish = drafts[chosen].finish;
        let pairs = drafts.into_iter().map(|draft| (draft.candidate, draft.seq));
        Self {
            branch: start.branch,
            candidates: pairs.collect(),
            chosen,
            decision,
            finish,
        }
    }
}

impl Controller<'_> {
    /// Proposes a step for each branch, decoding all of them in one batch.
    /// `None` for a branch that went back to a step and found nothing new there.
    pub(super) fn propose(
        &mut self,
        branches: &[BranchId],
    ) -> Result<Vec<Option<Proposal>>, SearchError> {
        let mut starts = Vec::new();
        for &branch in branches {
            starts.push(self.start(branch)?);
        }
        let (fresh, redone): (Vec<Start>, Vec<Start>) =
            starts.into_iter().partition(|start| start.redo.is_none());
        let mut proposals = self.propose_fresh(&fresh)?;
        for start in &redone {
            // Two branches that start at one point take different actions.
            let others = self.proposed_at(start, &proposals);
            proposals.extend(self.propose_again(start, &others)?);
        }
        let mut take = |branch: &BranchId| {
            let at = proposals.iter().position(|p| p.branch == *branch)?;
            Some(proposals.swap_remove(at))
        };
        Ok(branches.iter().map(&mut take).collect())
    }

    /// Decodes an action a branch, then rolls out those that the policy picks.
    fn propose_fresh(&mut self, starts: &[Start]) -> Result<Vec<Proposal>, SearchError> {
        let jobs: Vec<GenerateJob> = starts
            .iter()
            .map(|start| self.job(start, start.seq, 0, self.lead_sampler(start)))
            .collect();
        let generated = self.generate(&jobs)?;
        let mut proposals = Vec::new();
        for (start, generated) in starts.iter().zip(generated) {
            let origin = Origin {
                temperature: self.lead_sampler(start).temperature,
                ..Origin::default()
            };
            let mut lead = self.draft(start, origin, generated.tokens, start.seq);
            lead.candidate.entropy.tool = self.tool_entropy(start, &lead)?;
            lead.candidate.entropy.location = self.location_entropy(start, &lead)?;
            lead.finish = generated.finish;
            proposals.push(self.propose_from(start, lead)?);
        }
        Ok(proposals)
    }

    /// Of a step's first action. A second trajectory from the prompt would be the
    /// first one again if nothing were drawn.
    fn lead_sampler(&self, start: &Start) -> SamplerSettings {
        let is_root = self
            .recorder
            .state
            .branch(start.branch)
            .forked_from
            .is_none();
        match self.strategy.sampler.temperature == 0.0 && is_root && start.branch.0 > 0 {
            true => self.strategy.siblings.sampler,
            false => self.strategy.sampler,
        }
    }

    /// Decides on a first action and does what was decided.
    fn propose_from(&mut self, start: &Start, mut lead: Draft) -> Result<Proposal, SearchError> {
        let policy = self.strategy.policy;
        let by_vote = policy == BranchPolicy::Gate
            && self.recorder.state.gate_signal() == Some(GateSignal::Vote);
        let siblings = |this: &mut Self, lead: &Draft, n: usize| {
            let known = std::slice::from_ref(&lead.candidate);
            let ask = Ask {
                lead,
                known,
                n,
                first_index: 1,
                is_back: false,
                is_vote: by_vote,
            };
            this.roll_out(start, &ask)
        };
        let mut rolled = None;
        // A vote is only known once its voters were sampled.
        if by_vote {
            let asked = self.decide(BranchPolicy::Always, start, &lead);
            if asked.branch {
                let out = siblings(self, &lead, asked.candidates - 1)?;
                lead.candidate.entropy.vote_nats = out.vote_nats;
                rolled = Some(out);
            }
        }
        let mut decision = self.decide(policy, start, &lead);
        let goes_back = matches!(self.strategy.recovery, Recovery::Fork(_));
        if !decision.branch && goes_back && lead.is_copy {
            let asked = self.decide(BranchPolicy::Always, start, &lead);
            decision = BranchDecision {
                reason: format!("the edit gives the code back as it is; {}", asked.reason),
                ..asked
            };
        }
        if decision.branch && rolled.is_none() && self.passes_check(start, &mut lead, 0)? {
            decision = BranchDecision {
                branch: false,
                candidates: 1,
                reason: format!(
                    "{}; the action passes the check, so there is no need",
                    decision.reason
                ),
                ..decision
            };
        }
        if decision.branch && rolled.is_none() {
            rolled = Some(siblings(self, &lead, decision.candidates - 1)?);
        }
        let mut drafts = vec![lead];
        if let Some(out) = rolled {
            drafts[0].candidate.entropy.vote_nats = out.vote_nats;
            self.merge(&mut drafts, out.drafts, &[]);
        }
        if decision.branch && drafts.len() == 1 {
            decision.reason += match drafts[0].candidate.merged {
                1 => "; the KV pool has no room for a sibling",
                _ => "; all candidates agree, so none is judged",
            };
        }
        let chosen = match decision.branch {
            true => self.judge_and_choose(start, &mut drafts)?,
            false => majority(&drafts),
        };
        Ok(Proposal::new(start, drafts, chosen, decision))
    }

    /// Another action at a point that was decided before: the best of what was
    /// decoded there and not taken, else newly rolled out.
    fn propose_again(
        &mut self,
        start: &Start,
        others: &[String],
    ) -> Result<Option<Proposal>, SearchError> {
        let step = start.redo.expect("a step to do again");
        let spares: Vec<(StepId, usize, Candidate)> = self
            .recorder
            .state
            .untried_at(step)
            .into_iter()
            .filter(|(_, _, candidate)| !others.contains(&candidate.canonical))
            .map(|(step, index, candidate)| (step, index, candidate.clone()))
            .collect();
        for (from, index, candidate) in spares {
            let mut draft = self.redraft(start, &candidate)?;
            if draft.is_copy {
                self.engine.release(draft.seq);
                continue;
            }
            if let Some(spare) = self.sequences.take_spare(from, index) {
                self.engine.release(spare);
            }
            draft.candidate.merged = 1;
            let reason = format!("back at step {step}: its best candidate not yet taken");
            return Ok(Some(Proposal::new(
                start,
                vec![draft],
                0,
                decided(1, reason),
            )));
        }
        let state = &self.recorder.state;
        let tried: Vec<String> = state
            .tried_at(step)
            .into_iter()
            .map(str::to_owned)
            .chain(others.iter().cloned())
            .collect();
        let known: Vec<Candidate> = state.decoded_at(step).into_iter().cloned().collect();
        let wanted = (self.strategy.k as usize).max(2);
        // A block of streams for each time that something was taken here.
        let first_index = (tried.len().max(1)) * (wanted + 1);
        let lead = self.redraft(start, &known[0])?;
        let ask = Ask {
            lead: &lead,
            known: &known,
            n: wanted,
            first_index,
            is_back: true,
            is_vote: false,
        };
        let out = self.roll_out(start, &ask)?;
        self.engine.release(lead.seq);
        let mut drafts = Vec::new();
        self.merge(&mut drafts, out.drafts, &tried);
        if drafts.is_empty() {
            return Ok(None);
        }
        let chosen = self.judge_and_choose(start, &mut drafts)?;
        let reason = format!("back at step {step}: rolled out again");
        Ok(Some(Proposal::new(
            start,
            drafts,
            chosen,
            decided(wanted, reason),
        )))
    }

    /// The actions that `proposals` take at the point that `start` does again.
    fn proposed_at(&self, start: &Start, proposals: &[Proposal]) -> Vec<String> {
        let state = &self.recorder.state;
        let same = |other: &&Proposal| {
            let (a, b) = (state.branch(other.branch), state.branch(start.branch));
            a.steps == b.steps
        };
        let taken = proposals.iter().filter(same);
        taken
            .map(|p| p.candidates[p.chosen].0.canonical.clone())
            .collect()
    }

    fn decide(&self, policy: BranchPolicy, start: &Start, lead: &Draft) -> BranchDecision {
        let state = &self.recorder.state;
        let budget = &state.start.budget;
        let entropy = &lead.candidate.entropy;
        let tool = lead.candidate.tool.as_deref().and_then(ToolName::named);
        let signal = state.gate_signal().unwrap_or(GateSignal::DEFAULT);
        let before_nats = state.signal_before(start.branch, signal);
        let at_locations = Gate {
            signal: GateSignal::Location,
            threshold_nats: self.config.profile.location_gate_nats,
            quantile: None,
            provenance: format!("agent profile {}", self.config.profile.name),
        };
        let gate = match &state.start.gate {
            Some(gate) if gate.signal == GateSignal::Location => AskedGate::Given(gate),
            _ if start.is_locating => AskedGate::Given(&at_locations),
            Some(gate) => AskedGate::Given(gate),
            None => AskedGate::Running {
                signal,
                before_nats: &before_nats,
            },
        };
        policy.decide(&BranchAsk {
            gate,
            entropy,
            candidates: self.strategy.k as usize,
            is_edit: tool.is_some_and(ToolName::changes_files),
            step: start.depth,
            key: self.key(start).split(u64::MAX),
            room: BranchRoom {
                branches_left: (budget.branches_max as usize).saturating_sub(state.branches.len()),
                tokens_left: budget.tokens_max.saturating_sub(self.spent_tokens()),
                tokens_per_candidate: (entropy.n_tokens + JUDGE_TOKENS_MAX) as u64,
            },
        })
    }

    pub(super) fn generate(&mut self, jobs: &[GenerateJob]) -> Result<Vec<Generated>, SearchError> {
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
}

/// What most samples agree on, the first of equals.
fn majority(drafts: &[Draft]) -> usize {
    let merged = |at: usize| drafts[at].candidate.merged;
    (1..drafts.len()).fold(
        0,
        |best, at| if merged(at) > merged(best) { at } else { best },
    )
}

/// Tokens that judging a candidate takes at most: the question and one answer.
pub(super) const JUDGE_TOKENS_MAX: usize = 300;

fn decided(candidates: usize, reason: String) -> BranchDecision {
    BranchDecision {
        branch: candidates > 1,
        candidates,
        signal_nats: None,
        threshold_nats: None,
        gate: None,
        reason,
    }
}
