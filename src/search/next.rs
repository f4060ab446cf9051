//! The next command of a search: a pure function of the events so far and of the steps that are
//! being decided.
//!
//! [`next`] is asked again after each command. Its order: branches end that cannot go on; the
//! round that has begun is finished, and the beam filled; the run ends where its budget is spent
//! or where it has reason to; else branches are opened, or take their next step.
//!
//! A KV pool that is full is emptied, since the record holds every token, and the step is done
//! again; then branches go one by one; a step that does not fit even then ends its branch by name
//! (`KvPoolFull`). Abandoned branches do not count towards N; the budget bounds them. Their patches
//! are candidates only where no branch was finished.
use super::command::Command;
use super::deciding::{Deciding, Facts, Rules};
use super::round::{Proposal, Round};
use super::state::RunState;
use super::step::Step;
use crate::base::{BranchId, GateSignal, PointWeights, Recovery};
use crate::record::{BranchStatus, ForkPoint};

/// Actions that are carried out at one point, for each of its k candidates, before
/// every other point had as many.
const TRIES_PER_CANDIDATE: usize = 4;

/// The next command of a search. The same arguments give the same command.
///
/// Cost: the steps of the living branches; no token is decoded and no file is read.
pub fn next(state: &RunState, round: &Round, rules: &Rules<'_>, facts: &Facts) -> Command {
    let search = Deciding {
        state,
        round,
        rules,
        facts,
    };
    let ended = search.given_up().or_else(|| search.settled());
    if let Some(command) = ended {
        return command;
    }
    if facts.is_over {
        return search.end_all(BranchStatus::WallTimeSpent);
    }
    if round.first.is_some() {
        return search.in_round();
    }
    if facts.spent_tokens >= state.start.budget.tokens_max {
        return search.end_all(BranchStatus::TokensSpent);
    }
    if state.satisfies(rules.strategy.stop) {
        return search.end_all(BranchStatus::NotNeeded);
    }
    if state.living().is_empty() || search.opens_more_at_once() {
        return search.opened();
    }
    search.begun()
}

impl Deciding<'_> {
    /// Ends a branch that the engine could not go on with.
    fn given_up(&self) -> Option<Command> {
        let &(branch, status) = self.round.given_up.first()?;
        Some(Command::End { branch, status })
    }

    /// Ends the first living branch; stops when none lives.
    fn end_all(&self, status: BranchStatus) -> Command {
        let first = self.state.living().into_iter().next();
        first.map_or(Command::Stop, |branch| Command::End { branch, status })
    }

    /// A round that has begun: all steps are decided, then carried out in the order of their
    /// branches, then the beam is filled.
    fn in_round(&self) -> Command {
        let Round {
            waiting, proposals, ..
        } = self.round;
        if waiting.is_empty() {
            return self.beam().unwrap_or(Command::CloseRound);
        }
        if proposals.is_empty() {
            let n = if self.round.is_alone {
                1
            } else {
                waiting.len()
            };
            return Command::Propose {
                branches: waiting[..n].to_vec(),
            };
        }
        let (fresh, redone): (Vec<&Proposal>, Vec<&Proposal>) =
            proposals.iter().partition(|p| p.redo.is_none());
        let mut decided: Vec<(&Proposal, Step)> = Vec::with_capacity(proposals.len());
        for proposal in fresh.into_iter().chain(redone) {
            let step = match proposal.redo {
                None => self.step(proposal),
                Some(redo) => {
                    let others = self.taken_at(proposal, &decided);
                    self.step_again(proposal, redo, &others)
                }
            };
            match step {
                Step::First(command) => return command,
                step => decided.push((proposal, step)),
            }
        }
        decided.sort_by_key(|(proposal, _)| proposal.branch);
        let (proposal, step) = decided.swap_remove(0);
        let branch = proposal.branch;
        match step {
            Step::Take { chosen, decision } => Command::CarryOut {
                branch,
                chosen,
                decision,
            },
            // Nothing new was found at the point that it came back to.
            Step::Stuck | Step::First(_) => Command::End {
                branch,
                status: BranchStatus::Stuck,
            },
        }
    }

    /// The actions that other branches of the round take at the point of `proposal`: two that
    /// start at one point take different ones.
    fn taken_at(&self, proposal: &Proposal, decided: &[(&Proposal, Step)]) -> Vec<String> {
        let steps = &self.state.branch(proposal.branch).steps;
        let same = decided
            .iter()
            .filter(|(other, _)| self.state.branch(other.branch).steps == *steps);
        same.filter_map(|(other, step)| match step {
            Step::Take { chosen, .. } => Some(other.drafts[*chosen].candidate.canonical.clone()),
            Step::First(_) | Step::Stuck => None,
        })
        .collect()
    }

    /// True while trajectories that start together are not all there.
    fn opens_more_at_once(&self) -> bool {
        let (state, strategy) = (self.state, self.rules.strategy);
        let wanted = strategy.n.min(state.start.budget.branches_max);
        strategy.at_once && state.steps.is_empty() && (state.branches.len() as u32) < wanted
    }

    /// Opens what comes next when no branch lives.
    fn opened(&self) -> Command {
        let (state, strategy) = (self.state, self.rules.strategy);
        let n_branches = state.branches.len() as u32;
        // No first step fits into an empty pool: another branch does no better.
        let is_stillborn = state.branches.iter().any(|branch| {
            let ended = branch.ended.as_ref();
            ended.is_some_and(|e| e.status == BranchStatus::KvPoolFull) && branch.steps.is_empty()
        });
        if n_branches >= state.start.budget.branches_max || is_stillborn {
            return Command::Stop;
        }
        let from_prompt = || Command::Open {
            forked_from: None,
            reason: "from the prompt".into(),
        };
        if strategy.at_once {
            return match self.opens_more_at_once() {
                true => from_prompt(),
                false => Command::Stop,
            };
        }
        if state.finished().len() as u32 >= strategy.n {
            return Command::Stop;
        }
        if n_branches == 0 {
            return from_prompt();
        }
        match strategy.recovery {
            Recovery::Fork(weights) => self.gone_back(&weights),
            // Independent trajectories, one after the other; each counts, with a patch or
            // without. With a beam all of them come from one tree.
            Recovery::Append if n_branches >= strategy.n || strategy.beam > 1 => Command::Stop,
            Recovery::Append => from_prompt(),
        }
    }

    /// Forks at the open point that is worth most; stops where none is open.
    fn gone_back(&self, weights: &PointWeights) -> Command {
        let state = self.state;
        let signal = state.gate_signal().unwrap_or(GateSignal::DEFAULT);
        let mut tries_max = TRIES_PER_CANDIDATE * (self.rules.strategy.k as usize).max(2);
        let point = loop {
            if let Some(point) = state.best_point(signal, weights, tries_max) {
                break point;
            }
            if tries_max >= state.start.budget.branches_max as usize {
                return Command::Stop;
            }
            // All have had their tries, and nothing that they found passes.
            tries_max *= 2;
        };
        let figures = point.clause(signal);
        Command::Open {
            forked_from: Some(ForkPoint {
                branch: point.branch,
                step: point.step,
            }),
            reason: format!(
                "back to step {} of branch {}, the open point worth most ({figures})",
                point.step, point.branch
            ),
        }
    }

    /// The steps of all living branches that can take one. A round in which the run was
    /// stopped comes to its end first.
    fn begun(&self) -> Command {
        let living = self.state.living();
        let is_behind = |&&branch: &&BranchId| self.state.round_begun(branch).is_some();
        let behind: Vec<BranchId> = living.iter().filter(is_behind).copied().collect();
        let branches = if behind.is_empty() { living } else { behind };
        let unable = branches.iter().find_map(|&branch| self.before_step(branch));
        unable.unwrap_or(Command::Propose { branches })
    }
}
