//! Steps and trajectories of runs as samples: what was measured, and what came of it.
use super::content::is_syntax;
use super::score::{Level, Score};
use crate::base::{BranchId, GateSignal};
use crate::record::{BranchEnded, Candidate, StepFinished};
use crate::search::RunState;
use std::collections::BTreeMap;

/// Whether a branch's own patch passes the hidden tests, where it is known.
pub type Outcomes = BTreeMap<BranchId, bool>;

/// Everything that was measured on one task, with all seeds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskSamples {
    pub task: String,
    pub steps: Vec<StepSample>,
    pub trajectories: Vec<TrajectorySample>,
}

/// One action in figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ActionFigures {
    /// By [`GateSignal::ALL`], nats; `None` where it was not measured.
    pub signals_nats: [Option<f64>; GateSignal::ALL.len()],
    pub n_tokens: usize,
    /// Tokens that the grammar did not force, and those of them that are syntax. None
    /// of either where the record lacks the text of tokens.
    pub n_free: usize,
    pub n_syntax: usize,
    /// Sum of the entropy of free tokens that are no syntax, nats.
    pub content_nats: f64,
}

/// A decision: the action that was decoded first, and the one that was taken.
#[derive(Clone, Debug, PartialEq)]
pub struct StepSample {
    /// What a gate looks at; `None` where an earlier step was done again.
    pub first: Option<ActionFigures>,
    /// What the trajectory went on with.
    pub taken: ActionFigures,
    /// Whether some trajectory that it lies on is resolved; `None` where no outcome of
    /// such a one is known.
    pub resolved: Option<bool>,
}

/// A branch that ended by itself or at a limit, from the prompt on.
#[derive(Clone, Debug, PartialEq)]
pub struct TrajectorySample {
    /// The actions taken, in order.
    pub actions: Vec<ActionFigures>,
    pub resolved: bool,
}

/// Branches that the search did not leave on their way: what counts as trajectories,
/// those without a patch among them.
pub fn trajectories(state: &RunState) -> impl Iterator<Item = &BranchEnded> {
    let ended = state.branches.iter().filter_map(|b| b.ended.as_ref());
    ended.filter(|ended| !ended.status.is_left())
}

/// Adds a run's steps and trajectories to its task's. A trajectory whose outcome is not
/// known is left out; steps that several trajectories share are counted once.
pub fn add_run(task: &mut TaskSamples, state: &RunState, outcomes: &Outcomes) {
    let mut by_step: Vec<Option<bool>> = vec![None; state.steps.len()];
    for ended in trajectories(state) {
        let Some(&resolved) = outcomes.get(&ended.branch) else {
            continue;
        };
        for step in state.path(ended.branch) {
            let known = &mut by_step[step.step.0 as usize];
            *known = Some(resolved || *known == Some(true));
        }
        let taken = |step: &StepFinished| ActionFigures::of(&step.candidates[step.chosen]);
        let actions: Vec<_> = state.path(ended.branch).map(taken).collect();
        if !actions.is_empty() {
            task.trajectories
                .push(TrajectorySample { actions, resolved });
        }
    }
    for (step, resolved) in state.steps.iter().zip(by_step) {
        let first = (!is_redone(state, step)).then(|| ActionFigures::of(&step.candidates[0]));
        task.steps.push(StepSample {
            first,
            taken: ActionFigures::of(&step.candidates[step.chosen]),
            resolved,
        });
    }
}

/// True for the first step of a branch that left another: no gate was asked there.
fn is_redone(state: &RunState, step: &StepFinished) -> bool {
    let branch = state.branch(step.branch);
    branch.forked_from.is_some() && branch.steps.get(branch.n_inherited) == Some(&step.step)
}

impl ActionFigures {
    pub fn of(candidate: &Candidate) -> Self {
        let signals_nats = GateSignal::ALL.map(|signal| {
            let nats = signal.of(&candidate.entropy)?;
            nats.is_finite().then_some(f64::from(nats))
        });
        let mut figures = Self {
            signals_nats,
            n_tokens: candidate.entropy.n_tokens,
            ..Self::default()
        };
        let tokens = candidate.tokens.iter().zip(&candidate.pieces);
        for (token, piece) in tokens.skip(candidate.entropy.n_reasoning_tokens) {
            match (token.forced, is_syntax(piece)) {
                (true, _) => continue,
                (false, true) => figures.n_syntax += 1,
                (false, false) => figures.content_nats += f64::from(token.entropy_nats),
            }
            figures.n_free += 1;
        }
        figures
    }

    pub fn score(&self, score: Score) -> Option<f64> {
        let n_content = self.n_free - self.n_syntax;
        match score {
            Score::Signal(signal) => self.signals_nats[signal.index()],
            Score::ContentMean => (n_content > 0 && self.content_nats.is_finite())
                .then(|| self.content_nats / n_content as f64),
            Score::Length => Some(self.n_tokens as f64),
            Score::SyntaxShare => {
                (self.n_free > 0).then(|| self.n_syntax as f64 / self.n_free as f64)
            }
        }
    }
}

impl TrajectorySample {
    /// All its actions as one; signals are of single actions, so it has none.
    pub fn whole(&self) -> ActionFigures {
        let mut whole = ActionFigures::default();
        for action in &self.actions {
            whole.n_tokens += action.n_tokens;
            whole.n_free += action.n_free;
            whole.n_syntax += action.n_syntax;
            whole.content_nats += action.content_nats;
        }
        whole
    }

    /// `None` where no step that counts was measured. Length and the share of syntax
    /// are of the whole at every level.
    ///
    /// Panics at [`Level::Step`].
    pub fn score(&self, level: Level, score: Score) -> Option<f64> {
        if score.is_control() || (level, score) == (Level::TrajectoryMean, Score::ContentMean) {
            return self.whole().score(score);
        }
        let mut measured = self.actions.iter().filter_map(|action| action.score(score));
        match level {
            Level::Step => panic!("a trajectory is no step"),
            Level::TrajectoryMean => {
                let (sum, n) = measured.fold((0.0, 0), |(sum, n), nats| (sum + nats, n + 1));
                (n > 0).then(|| sum / f64::from(n))
            }
            Level::TrajectoryMax => measured.reduce(f64::max),
            Level::TrajectoryLast => measured.next_back(),
        }
    }
}
