//! The point to go back to: the policy over all open fork points.
//!
//! The search goes back when evidence turns against a branch: an edit that does not apply, a test
//! that fails, an answer that is no call. The failed attempt leaves the context together with its
//! tokens. A point's worth is a weighted sum (`base::PointWeights`): its entropy, the best score
//! among candidates not taken there, less the failures seen there and the steps lost. Candidates
//! that were decoded there before are taken first, the best judged in front; only then are new ones
//! rolled out.
use super::state::RunState;
use crate::base::{BranchId, GateSignal, PointWeights, StepId};
use crate::record::{BranchStatus, Candidate, StepFinished, StepOutcome};

/// A step that can still be done differently, and what that is worth.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenPoint {
    /// The branch that reached the point first.
    pub branch: BranchId,
    pub step: StepId,
    /// The gate's signal there, nats; 0 where it was not measured.
    pub signal_nats: f32,
    /// The best judge's score of a candidate not yet taken; `None` without one.
    pub spare_score: Option<f32>,
    /// Actions that were tried there and failed.
    pub n_failed: usize,
    /// Steps that going back there throws away, off the branch that ended last.
    pub distance: usize,
    /// The weighted sum of the four.
    pub value: f32,
}

impl OpenPoint {
    /// The figures, for a person.
    pub fn clause(&self, signal: GateSignal) -> String {
        let spare = self.spare_score.map_or(String::new(), |score| {
            format!(", a candidate judged {score:.2}")
        });
        format!(
            "{} {:.2} nats{spare}, {} failed there, {} steps back",
            signal.name(),
            self.signal_nats,
            self.n_failed,
            self.distance
        )
    }
}

impl RunState {
    /// The open point of the highest value over all branches; the newest of
    /// equals. A point from which `tries_max` branches went is not open, nor one
    /// where nothing new was found.
    ///
    /// Steps at which the harness, not the model, was at fault cannot be told
    /// apart; every step is a candidate, the failed one included.
    pub fn best_point(
        &self,
        signal: GateSignal,
        weights: &PointWeights,
        tries_max: usize,
    ) -> Option<OpenPoint> {
        let mut seen: Vec<StepId> = Vec::new();
        let mut best: Option<OpenPoint> = None;
        for step in self.steps.iter().rev() {
            let first = self.first_at(step);
            if seen.contains(&first.step) || !self.is_open(first, tries_max) {
                continue;
            }
            seen.push(first.step);
            let point = self.point(first, signal, weights);
            if best.as_ref().is_none_or(|best| point.value > best.value) {
                best = Some(point);
            }
        }
        best
    }

    fn point(&self, first: &StepFinished, signal: GateSignal, weights: &PointWeights) -> OpenPoint {
        let signal_nats = signal.of(&first.candidates[0].entropy).unwrap_or(0.0);
        let spare = self.untried_at(first.step).into_iter().next();
        let spare_score = spare.and_then(|(_, _, c)| Some(c.judge.as_ref()?.score));
        let n_failed = self.same_point(first).filter(|s| has_failed(s)).count();
        let distance = self.distance(first);
        OpenPoint {
            branch: first.branch,
            step: first.step,
            signal_nats,
            spare_score,
            n_failed,
            distance,
            value: weights.entropy * signal_nats + weights.judge * spare_score.unwrap_or(0.0)
                - weights.failures * n_failed as f32
                - weights.distance * distance as f32,
        }
    }

    /// The first step that was taken where `step` was.
    fn first_at<'a>(&'a self, step: &'a StepFinished) -> &'a StepFinished {
        let mut same = self.same_point(step);
        same.next().expect("a step is at its own point")
    }

    /// Steps taken from the same history, `step` among them.
    fn same_point<'a>(
        &'a self,
        step: &'a StepFinished,
    ) -> impl Iterator<Item = &'a StepFinished> + 'a {
        self.steps
            .iter()
            .filter(move |other| self.is_same_point(other, step))
    }

    /// Steps on the branch that ended last that do not stand before `point`.
    fn distance(&self, point: &StepFinished) -> usize {
        let Some(last) = self.steps.last() else {
            return 0;
        };
        let kept = self.prefix_of(point);
        let path = &self.branch(last.branch).steps;
        let shared = path.iter().zip(kept).take_while(|(a, b)| a == b).count();
        path.len() - shared
    }

    /// False for a step from which `tries_max` branches went, or where siblings were
    /// rolled out and none was new.
    fn is_open(&self, step: &StepFinished, tries_max: usize) -> bool {
        if step.outcome == StepOutcome::Submitted && step.depth == 0 {
            return false;
        }
        self.same_point(step).count() < tries_max && !self.is_exhausted(step)
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

    /// Every candidate decoded at the point of `step`, taken or not.
    pub fn decoded_at(&self, step: StepId) -> Vec<&Candidate> {
        let first = self.step(step);
        self.same_point(first).flat_map(|s| &s.candidates).collect()
    }

    /// Candidates decoded at the point of `step` that no branch has taken, or
    /// has been opened to take, each with the step and index it was decoded as;
    /// the best judged first.
    pub fn untried_at(&self, step: StepId) -> Vec<(StepId, usize, &Candidate)> {
        let first = self.step(step);
        let tried = self.tried_at(step);
        let mut open: Vec<(StepId, usize, &Candidate)> = Vec::new();
        for other in self.same_point(first) {
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

/// True for a step after which its branch was worse off.
fn has_failed(step: &StepFinished) -> bool {
    matches!(
        step.outcome,
        StepOutcome::EditFailed
            | StepOutcome::TestsFailed
            | StepOutcome::Rejected
            | StepOutcome::Repeated
            | StepOutcome::CommandFailed
    )
}
