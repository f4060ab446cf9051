//! The decisions at a branch's step: roll out where it is uncertain, look at evidence, judge, choose.
//!
//! An uncertain edit is carried out in a copy before siblings are decoded, where the check decides
//! and `Strategy::evidence_first` holds: a check costs no token, and an edit that passes needs no
//! siblings. Where all candidates agree, none is judged. Without a judge the first that can be
//! carried out is taken, with one the best judged.
use super::command::{Command, Rollout, RolloutKind};
use super::deciding::Deciding;
use super::draft::Draft;
use super::round::Proposal;
use crate::base::{
    BranchDecision, BranchPolicy, Gate, GateSignal, JudgeMethod, JudgeWhen, Recovery, StepId,
    ToolName,
};
use crate::decode::{AskedGate, BranchAsk, BranchRoom};

/// Tokens that judging a candidate takes at most: the question and one answer.
pub(super) const JUDGE_TOKENS_MAX: usize = 300;

/// How far a step is decided.
pub(super) enum Step {
    /// Something has to be done first.
    First(Command),
    /// This candidate is carried out.
    Take {
        chosen: usize,
        decision: BranchDecision,
    },
    /// There is nothing to carry out.
    Stuck,
}

/// The check's word on a candidate.
enum Evidence {
    /// It has to be carried out in a copy first.
    Wanted,
    Passes,
    /// It fails, or the check cannot tell.
    None,
}

impl Deciding<'_> {
    /// A step whose first action was decoded.
    pub fn step(&self, proposal: &Proposal) -> Step {
        let branch = proposal.branch;
        let by_vote = self.rules.strategy.policy == BranchPolicy::Gate
            && self.state.gate_signal() == Some(GateSignal::Vote);
        let roll_out = |n: usize, kind| {
            Step::First(Command::RollOut(Rollout {
                branch,
                n,
                kind,
                tried: Vec::new(),
            }))
        };
        let Some(decision) = &proposal.decision else {
            // A vote is only known once its voters were sampled.
            if by_vote && !proposal.is_rolled_out {
                let asked = self.decide(BranchPolicy::Always, proposal);
                if asked.branch {
                    return roll_out(asked.candidates - 1, RolloutKind::Vote);
                }
            }
            let decision = self.decision(proposal);
            return Step::First(Command::Decide { branch, decision });
        };
        let take = |chosen, decision| Step::Take { chosen, decision };
        if !decision.branch {
            return take(majority(&proposal.drafts), decision.clone());
        }
        if !proposal.is_rolled_out {
            return match self.evidence(&proposal.drafts[0]) {
                Evidence::Wanted => Step::First(Command::TryOut { branch, index: 0 }),
                Evidence::Passes => take(0, without_need(decision)),
                Evidence::None => roll_out(decision.candidates - 1, RolloutKind::Alternatives),
            };
        }
        match self.choice(proposal) {
            Ok(chosen) => take(chosen, with_siblings(decision, &proposal.drafts)),
            Err(command) => Step::First(command),
        }
    }

    /// Another action at a point that was decided before: the best of what was decoded there
    /// and not taken, else newly rolled out. `others` are taken there in the same round.
    pub fn step_again(&self, proposal: &Proposal, redo: StepId, others: &[String]) -> Step {
        let branch = proposal.branch;
        if proposal.taken_up.is_some() {
            let reason = format!("back at step {redo}: its best candidate not yet taken");
            let decision = decided(1, reason);
            return Step::Take {
                chosen: 0,
                decision,
            };
        }
        let wanted = (self.rules.strategy.k as usize).max(2);
        if !proposal.is_rolled_out {
            let spare = self.state.untried_at(redo).into_iter().find(|spare| {
                let (step, index, candidate) = spare;
                !others.contains(&candidate.canonical)
                    && !proposal.passed_over.contains(&(*step, *index))
            });
            if let Some((step, index, _)) = spare {
                return Step::First(Command::TakeUp {
                    branch,
                    step,
                    index,
                });
            }
            let tried = self.state.tried_at(redo).into_iter().map(str::to_owned);
            return Step::First(Command::RollOut(Rollout {
                branch,
                n: wanted,
                kind: RolloutKind::Again,
                tried: tried.chain(others.iter().cloned()).collect(),
            }));
        }
        if proposal.drafts.is_empty() {
            return Step::Stuck;
        }
        match self.choice(proposal) {
            Ok(chosen) => Step::Take {
                chosen,
                decision: decided(wanted, format!("back at step {redo}: rolled out again")),
            },
            Err(command) => Step::First(command),
        }
    }

    /// The candidate that is taken, of one or several; what has to be done before it is known.
    ///
    /// The first that passes the check is taken. What cannot be read is never taken before what
    /// can, nor what changes nothing before what does. Equal scores: the one decoded first.
    fn choice(&self, proposal: &Proposal) -> Result<usize, Command> {
        let (branch, drafts) = (proposal.branch, &proposal.drafts);
        let strategy = self.rules.strategy;
        for (index, draft) in drafts.iter().enumerate() {
            match self.evidence(draft) {
                Evidence::Wanted => return Err(Command::TryOut { branch, index }),
                Evidence::Passes => return Ok(index),
                Evidence::None => {}
            }
        }
        if drafts
            .iter()
            .all(|draft| draft.is_copy || draft.has_failed())
        {
            // Which one is shown to have failed makes no difference worth a judge.
            let first = drafts.iter().position(|draft| !draft.is_copy);
            return Ok(first.unwrap_or(0));
        }
        let context_left = self.facts.context_max.saturating_sub(proposal.n_before);
        let longest = drafts.iter().map(|draft| draft.tokens().len()).max();
        let fits = longest.unwrap_or(0) + JUDGE_TOKENS_MAX <= context_left;
        let n_real = drafts.iter().filter(|draft| !draft.is_copy).count();
        let is_asked = strategy.judge.method != JudgeMethod::None;
        if is_asked && !proposal.is_judged && n_real > 1 && fits {
            let is_untried = |draft: &Draft| !draft.is_copy && draft.candidate.tried.is_none();
            let untried = drafts.iter().position(is_untried);
            return Err(
                match untried.filter(|_| strategy.judge.when == JudgeWhen::After) {
                    Some(index) => Command::TryOut { branch, index },
                    None => Command::Judge { branch },
                },
            );
        }
        let score = |draft: &Draft| {
            let judged = draft.candidate.judge.as_ref();
            if draft.candidate.tool.is_none() {
                -2.0
            } else if draft.is_copy {
                -1.0
            } else if draft.has_failed() && strategy.evidence_first {
                -0.5
            } else {
                judged.map_or(0.0, |judge| judge.score)
            }
        };
        let better = |best: usize, at: usize| match score(&drafts[at]) > score(&drafts[best]) {
            true => at,
            false => best,
        };
        Ok((1..drafts.len()).fold(0, better))
    }

    /// Of an edit, where evidence comes first and the check decides.
    fn evidence(&self, draft: &Draft) -> Evidence {
        let decides = self.rules.strategy.evidence_first && self.state.is_check_decisive();
        if !decides || !draft.is_edit() || draft.is_copy {
            return Evidence::None;
        }
        match (&draft.candidate.tried, draft.has_passed()) {
            (None, _) => Evidence::Wanted,
            (_, true) => Evidence::Passes,
            (_, false) => Evidence::None,
        }
    }

    /// Whether the step is rolled out. One whose edit gives the code back as it is always is,
    /// where the search goes back from failures.
    fn decision(&self, proposal: &Proposal) -> BranchDecision {
        let decision = self.decide(self.rules.strategy.policy, proposal);
        let goes_back = matches!(self.rules.strategy.recovery, Recovery::Fork(_));
        if decision.branch || !goes_back || !proposal.drafts[0].is_copy {
            return decision;
        }
        let asked = self.decide(BranchPolicy::Always, proposal);
        BranchDecision {
            reason: format!("the edit gives the code back as it is; {}", asked.reason),
            ..asked
        }
    }

    fn decide(&self, policy: BranchPolicy, proposal: &Proposal) -> BranchDecision {
        let (state, lead) = (self.state, &proposal.drafts[0].candidate);
        let budget = &state.start.budget;
        let tool = lead.tool.as_deref().and_then(ToolName::named);
        let signal = state.gate_signal().unwrap_or(GateSignal::DEFAULT);
        let before_nats = state.signal_before(proposal.branch, signal);
        let profile = &self.rules.config.profile;
        let at_locations = Gate {
            signal: GateSignal::Location,
            threshold_nats: profile.location_gate_nats,
            quantile: None,
            provenance: format!("agent profile {}", profile.name),
        };
        let gate = match &state.start.gate {
            Some(gate) if gate.signal == GateSignal::Location => AskedGate::Given(gate),
            _ if proposal.is_locating => AskedGate::Given(&at_locations),
            Some(gate) => AskedGate::Given(gate),
            None => AskedGate::Running {
                signal,
                before_nats: &before_nats,
            },
        };
        let depth = state.branch(proposal.branch).steps.len() as u32;
        policy.decide(&BranchAsk {
            gate,
            entropy: &lead.entropy,
            candidates: self.rules.strategy.k as usize,
            is_edit: tool.is_some_and(ToolName::changes_files),
            step: depth,
            key: state.step_key(proposal.branch).split(u64::MAX),
            room: BranchRoom {
                branches_left: (budget.branches_max as usize).saturating_sub(state.branches.len()),
                tokens_left: budget.tokens_max.saturating_sub(self.facts.spent_tokens),
                tokens_per_candidate: (lead.entropy.n_tokens + JUDGE_TOKENS_MAX) as u64,
            },
        })
    }
}

/// The candidate that most samples agree on, the first of equals.
fn majority(drafts: &[Draft]) -> usize {
    let merged = |at: usize| drafts[at].candidate.merged;
    (1..drafts.len()).fold(
        0,
        |best, at| if merged(at) > merged(best) { at } else { best },
    )
}

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

/// Of a step whose first action passes the check.
fn without_need(decision: &BranchDecision) -> BranchDecision {
    BranchDecision {
        branch: false,
        candidates: 1,
        reason: format!(
            "{}; the action passes the check, so there is no need",
            decision.reason
        ),
        ..decision.clone()
    }
}

/// Of a step that was rolled out, with a word where no sibling is another action.
fn with_siblings(decision: &BranchDecision, drafts: &[Draft]) -> BranchDecision {
    let mut decision = decision.clone();
    if let [only] = drafts {
        decision.reason += match only.candidate.merged {
            1 => "; the KV pool has no room for a sibling",
            _ => "; all candidates agree, so none is judged",
        };
    }
    decision
}
