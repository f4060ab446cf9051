//! The beam: how many branches live at the same time, and which.
//!
//! The judged candidates of a round that were not taken compete with the living branches by
//! trajectory score. The best go on, each on a branch of its own; the others are pruned. Actions
//! are carried out before that, so that evidence comes first.
use super::command::Command;
use super::deciding::Deciding;
use super::state::RunState;
use crate::base::{BranchId, StepId};
use crate::record::{BranchStatus, ForkPoint};

/// Something that can go on: a living branch, or a candidate that was judged in
/// this round and not taken.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Contender {
    /// The trajectory score if it goes on; `None` for a branch that was never judged.
    score: Option<f32>,
    /// The branch, or the one that the candidate leaves.
    branch: BranchId,
    /// The step that the candidate would do differently; `None` for a branch.
    leaves: Option<StepId>,
}

impl Deciding<'_> {
    /// Keeps the best of what can go on after a round: living branches that are
    /// not among them are pruned, candidates that are get a branch. Evidence
    /// comes first: a branch that failed in this round is not living any more.
    ///
    /// One branch a command; `None` when the beam is filled.
    pub(super) fn beam(&self) -> Option<Command> {
        let (state, strategy) = (self.state, self.rules.strategy);
        let first = self.round.first?;
        if strategy.beam < 2 || strategy.at_once || state.satisfies(strategy.stop) {
            return None;
        }
        // Trajectories that are still to come, of N.
        let left = (strategy.n as usize).saturating_sub(state.finished().len());
        let beam = (strategy.beam as usize).min(left);
        let kept = best(contenders(state, first), beam);
        let is_kept = |branch: BranchId| {
            let mut goes_on = kept.iter().filter(|c| c.leaves.is_none());
            goes_on.any(|c| c.branch == branch)
        };
        let mut old = state.living().into_iter().filter(|&b| !state.is_new(b));
        if let Some(branch) = old.find(|&branch| !is_kept(branch)) {
            let status = BranchStatus::Pruned;
            return Some(Command::End { branch, status });
        }
        let mut opened: Vec<StepId> = new_branches(state)
            .filter_map(|branch| Some(state.branch(branch).forked_from?.step))
            .collect();
        let is_open = |contender: &Contender| {
            let step = contender.leaves?;
            match opened.iter().position(|&open| open == step) {
                Some(at) => {
                    opened.swap_remove(at);
                    None
                }
                None => Some((contender.branch, step, contender.score.unwrap_or_default())),
            }
        };
        let (branch, step, score) = kept.iter().find_map(is_open)?;
        let is_full = state.branches.len() as u32 >= state.start.budget.branches_max;
        (!is_full).then(|| Command::Open {
            forked_from: Some(ForkPoint { branch, step }),
            reason: format!(
                "in the beam of {beam}: a candidate of step {step}, trajectory score {score:.2}"
            ),
        })
    }
}

/// Branches that were opened after the last step.
fn new_branches(state: &RunState) -> impl Iterator<Item = BranchId> {
    let all = (0..state.branches.len() as u32).map(BranchId);
    all.filter(|&branch| state.is_new(branch))
}

/// True for a branch that was pruned after the round whose first step is `first`.
fn is_pruned_since(state: &RunState, first: StepId, branch: BranchId) -> bool {
    let own = state.branch(branch);
    let ended = own.ended.as_ref();
    ended.is_some_and(|e| e.status == BranchStatus::Pruned) && own.steps.last() >= Some(&first)
}

/// The contenders when the round that began with step `first` was over: branches that
/// lived then, and the judged candidates that nobody took.
fn contenders(state: &RunState, first: StepId) -> Vec<Contender> {
    let branches = (0..state.branches.len() as u32).map(BranchId);
    let lived = branches.filter(|&branch| {
        let lives = state.branch(branch).ended.is_none() && !state.is_new(branch);
        lives || is_pruned_since(state, first, branch)
    });
    let mut all: Vec<Contender> = lived
        .map(|branch| Contender {
            score: state.judge_mean(branch),
            branch,
            leaves: None,
        })
        .collect();
    let round = &state.steps[first.0 as usize..];
    for (index, step) in round.iter().enumerate() {
        // Its candidates are those of all steps at the point.
        let earlier = &round[..index];
        if earlier.iter().any(|other| state.is_same_point(other, step)) {
            continue;
        }
        let scores: Vec<f32> = state
            .prefix_of(step)
            .iter()
            .map(|&before| state.step(before))
            .filter_map(|s| Some(s.candidates[s.chosen].judge.as_ref()?.score))
            .collect();
        for (_, _, candidate) in state.untried_at(step.step) {
            let Some(judge) = &candidate.judge else {
                continue;
            };
            let sum = scores.iter().sum::<f32>() + judge.score;
            all.push(Contender {
                score: Some(sum / (scores.len() + 1) as f32),
                branch: step.branch,
                leaves: Some(step.step),
            });
        }
    }
    all
}

/// The `beam` best: branches that were never judged go on before all (nothing
/// speaks against them), then by score; a branch before a candidate, the first
/// of equals.
fn best(mut all: Vec<Contender>, beam: usize) -> Vec<Contender> {
    all.sort_by(|a, b| match (a.score, b.score) {
        (Some(a), Some(b)) => b.total_cmp(&a),
        (a, b) => a.is_some().cmp(&b.is_some()),
    });
    all.truncate(beam);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contender(branch: u32, score: Option<f32>, leaves: Option<u32>) -> Contender {
        Contender {
            score,
            branch: BranchId(branch),
            leaves: leaves.map(StepId),
        }
    }

    #[test]
    fn the_best_go_on_and_equals_stay_in_their_order() {
        let all = vec![
            contender(0, Some(0.4), None),
            contender(1, None, None),
            contender(0, Some(0.6), Some(3)),
            contender(2, Some(0.6), Some(4)),
        ];
        let kept = best(all, 2);
        assert_eq!(kept[0], contender(1, None, None));
        assert_eq!(kept[1], contender(0, Some(0.6), Some(3)));
    }
}
