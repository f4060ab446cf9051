//! A branch's memory of its steps, and the start of its next one: tools, random stream.
use super::fold::is_seen_again;
use super::state::RunState;
use crate::agent::{AgentConfig, Memory, ToolSet};
use crate::base::{BranchId, Recovery, RngKey, StepId};

impl RunState {
    /// A branch's memory of its steps.
    pub fn memory(&self, branch: BranchId) -> Memory {
        let folded = self.seen_again(branch);
        Memory::replay(&self.start.base_tree, self.path(branch), &folded)
    }

    /// The tools of a branch's next step.
    pub fn tools(&self, config: &AgentConfig, branch: BranchId) -> ToolSet {
        let n_steps = self.branch(branch).steps.len() as u32;
        let changed = match self.start.strategy.recovery {
            Recovery::Append => self.tree(branch) != self.start.base_tree,
            // A branch that revises what a test speaks against has to change it.
            Recovery::Fork(_) => self.has_work(branch),
        };
        let steps_left = self.start.budget.steps_max - n_steps;
        self.memory(branch).tools(config, changed, steps_left)
    }

    /// The step that the branch's next one takes differently: it was forked there and
    /// has not moved yet.
    pub fn redo_of(&self, branch: BranchId) -> Option<StepId> {
        let own = self.branch(branch);
        let moved = own.steps.len() > own.n_inherited;
        let from = own.forked_from.filter(|_| !moved);
        from.map(|from| from.step)
    }

    /// The random stream of a branch's next step: by what stands before it, so that a resumed
    /// run draws the same numbers. At a point that the search came back to it is the stream of
    /// the branch that reached the point first.
    pub fn step_key(&self, branch: BranchId) -> RngKey {
        let depth = self.branch(branch).steps.len() as u32;
        let first = self.redo_of(branch);
        let point = first.map_or(branch, |step| self.step(step).branch);
        RngKey::from_seed(self.start.seed)
            .split(u64::from(point.0))
            .split(u64::from(depth))
    }

    /// Steps of a branch whose observations were folded: their results are out of sight,
    /// so asking for them again is no repetition.
    fn seen_again(&self, branch: BranchId) -> Vec<StepId> {
        let path = self.path(branch);
        let folded = path.filter(|step| is_seen_again(step) && self.is_folded(branch, step.step));
        folded.map(|step| step.step).collect()
    }
}
