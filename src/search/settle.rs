//! How a branch ends: with the step that it took last, or before the next one.
use super::command::Command;
use super::deciding::Deciding;
use super::fold::has_room;
use super::state::RunState;
use crate::base::{BranchId, Recovery, ToolName};
use crate::record::{BranchStatus, StepFinished, StepOutcome};

impl Deciding<'_> {
    /// Ends the branch of the last step, if it ended with that; where its context is too full
    /// for the observation, folds older ones first.
    pub fn settled(&self) -> Option<Command> {
        let branch = self.state.steps.last()?.branch;
        if self.state.branch(branch).ended.is_some() {
            return None;
        }
        if let Some(status) = self.status_after_step(branch) {
            return Some(Command::End { branch, status });
        }
        match self.state.n_tokens(branch) > self.facts.context_max {
            true => Some(self.folded(branch)),
            false => None,
        }
    }

    /// Ends or folds a branch that cannot take another step as it is.
    pub fn before_step(&self, branch: BranchId) -> Option<Command> {
        let (state, round) = (self.state, self.round);
        let n_steps = state.branch(branch).steps.len() as u32;
        if n_steps >= state.start.budget.steps_max {
            let status = BranchStatus::StepsSpent;
            return Some(Command::End { branch, status });
        }
        let n_tokens = state.n_tokens(branch);
        let is_roomy = !self.folds() || has_room(state, n_tokens, self.facts.context_max);
        if !is_roomy && !round.folded.contains(&branch) {
            return Some(Command::Fold { branch });
        }
        let status = BranchStatus::ContextFull;
        (n_tokens >= self.facts.context_max).then_some(Command::End { branch, status })
    }

    /// Folds a branch that is too full, once; then ends it.
    fn folded(&self, branch: BranchId) -> Command {
        match self.folds() && !self.round.folded.contains(&branch) {
            true => Command::Fold { branch },
            false => Command::End {
                branch,
                status: BranchStatus::ContextFull,
            },
        }
    }

    fn folds(&self) -> bool {
        self.rules.config.limits().unfolded_min > 0
    }

    /// How a branch ends with the step that it took last, if it does.
    fn status_after_step(&self, branch: BranchId) -> Option<BranchStatus> {
        let state = self.state;
        let last = state.path(branch).next_back()?;
        if let Some(status) = state.memory(branch).status(self.rules.config) {
            return Some(status);
        }
        match last.outcome {
            // A test that failed before passes now, and none that passed fails.
            StepOutcome::TestsPassed if state.is_check_decisive() && last_changed(last) => {
                Some(BranchStatus::Submitted)
            }
            // Nothing was changed yet: the fault was reproduced.
            StepOutcome::TestsFailed if is_unchanged(state, last) => None,
            // A failed attempt leaves the context with its tokens.
            StepOutcome::EditFailed
            | StepOutcome::TestsFailed
            | StepOutcome::Rejected
            | StepOutcome::Repeated
                if matches!(self.rules.strategy.recovery, Recovery::Fork(_)) =>
            {
                Some(BranchStatus::Abandoned)
            }
            _ => None,
        }
    }
}

fn is_unchanged(state: &RunState, last: &StepFinished) -> bool {
    last.tree == state.start.base_tree
}

/// True for a step whose check ran because it changed a file.
fn last_changed(step: &StepFinished) -> bool {
    let tool = step.candidates[step.chosen].tool.as_deref();
    tool.and_then(ToolName::named)
        .is_some_and(ToolName::changes_files)
}
