//! Where to go back to: the policy over open fork points.
use super::state::RunState;
use crate::base::{BranchId, GateSignal, StepId};
use crate::record::{BranchStatus, Candidate, StepFinished, StepOutcome};

/// A step that can still be done differently.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenPoint {
    pub branch: BranchId,
    pub step: StepId,
    /// The gate's signal there, nats; 0 where it was not measured.
    pub signal_nats: f32,
}

impl RunState {
    /// The most uncertain step of a branch at which fewer than `tries_max` actions were
    /// tried and something else is left to try; the earliest of equals.
    ///
    /// Steps at which the harness, not the model, was at fault cannot be told
    /// apart; every step on the branch is a candidate, the failed one included.
    pub fn most_uncertain_point(
        &self,
        branch: BranchId,
        signal: GateSignal,
        tries_max: usize,
    ) -> Option<OpenPoint> {
        let mut best: Option<OpenPoint> = None;
        for step in self.path(branch) {
            if !self.is_open(step, tries_max) {
                continue;
            }
            let signal_nats = signal.of(&step.candidates[0].entropy).unwrap_or(0.0);
            if best
                .as_ref()
                .is_none_or(|best| signal_nats > best.signal_nats)
            {
                best = Some(OpenPoint {
                    branch: step.branch,
                    step: step.step,
                    signal_nats,
                });
            }
        }
        best
    }

    /// False for a step at which `tries_max` actions were tried, or where siblings were
    /// rolled out and none was new.
    fn is_open(&self, step: &StepFinished, tries_max: usize) -> bool {
        if step.outcome == StepOutcome::Submitted && step.depth == 0 {
            return false;
        }
        self.tried_at(step.step).len() < tries_max && !self.is_exhausted(step)
    }

    /// True when a branch was opened at this point and found no other action, or
    /// no room for one.
    fn is_exhausted(&self, step: &StepFinished) -> bool {
        self.ids().any(|id| {
            let branch = self.branch(id);
            let ended = branch.ended.as_ref();
            ended
                .is_some_and(|e| matches!(e.status, BranchStatus::Stuck | BranchStatus::KvPoolFull))
                && branch.steps.len() == branch.n_inherited
                && branch.steps.len() as u32 == step.depth
                && branch.steps[..] == *self.prefix_of(step)
        })
    }

    /// Candidates decoded at the point of `step` that no branch has taken, each
    /// with the step and index it was decoded as; the best judged first.
    pub fn untried_at(&self, step: StepId) -> Vec<(StepId, usize, &Candidate)> {
        let first = self.step(step);
        let tried = self.tried_at(step);
        let mut open: Vec<(StepId, usize, &Candidate)> = Vec::new();
        for other in self
            .steps
            .iter()
            .filter(|other| self.is_same_point(other, first))
        {
            let readable = other
                .candidates
                .iter()
                .enumerate()
                .filter(|(_, c)| c.tool.is_some());
            for (index, candidate) in readable {
                let known = |c: &str| c == candidate.canonical;
                if !tried.iter().any(|c| known(c))
                    && !open.iter().any(|(_, _, c)| known(&c.canonical))
                {
                    open.push((other.step, index, candidate));
                }
            }
        }
        let score = |c: &Candidate| c.judge.as_ref().map_or(0.0, |judge| judge.score);
        open.sort_by(|a, b| score(b.2).total_cmp(&score(a.2)));
        open
    }
}
