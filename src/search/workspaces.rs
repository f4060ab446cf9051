//! The copies of the repository that actions are carried out in.
use super::error::SearchError;
use super::state::RunState;
use super::views::Views;
use crate::agent::{
    Action, AfterEdit, AgentConfig, AgentError, Executor, Observation, ParseError, Verdict,
    changes_nothing,
};
use crate::base::BranchId;
use crate::record::{StepOutcome, Tried};
use crate::verify::Bench;
use crate::workspace::{Sandbox, TreeId};
use std::path::{Path, PathBuf};

/// Directories with the files of branches, and what runs in them. A directory is made anew from
/// a recorded tree whenever it is needed.
pub struct Workspaces<'a> {
    pub sandbox: &'a Sandbox,
    pub bench: &'a Bench<'a>,
    pub check: Option<&'a dyn AfterEdit>,
    pub config: &'a AgentConfig,
    pub views: &'a Views<'a>,
    /// Holds a directory for each living branch.
    pub work_dir: PathBuf,
}

impl Workspaces<'_> {
    /// Carries an action out in the branch's directory. Gives what the agent is shown, and the
    /// tree after it.
    pub fn carry_out(
        &self,
        state: &RunState,
        branch: BranchId,
        action: &Result<Action, ParseError>,
    ) -> Result<(Observation, TreeId), SearchError> {
        let dir = self.dir_of(branch);
        self.restore(state, branch, &dir)?;
        let observation = self.execute(state, branch, &dir, action)?;
        Ok((observation, self.bench.shadow.snapshot(&dir)?))
    }

    /// Carries an action out in a copy of the branch's directory.
    pub fn try_out(
        &self,
        state: &RunState,
        branch: BranchId,
        index: usize,
        action: &Result<Action, ParseError>,
    ) -> Result<Tried, SearchError> {
        let dir = self.work_dir.join(format!("try-{branch}-{index}"));
        self.restore(state, branch, &dir)?;
        let observation = self.execute(state, branch, &dir, action)?;
        let tree = self.bench.shadow.snapshot(&dir)?;
        self.bench.shadow.discard(&dir);
        Ok(Tried {
            outcome: observation.outcome,
            observation: observation.text,
            cuts: observation.cuts,
            tree: tree.0,
        })
    }

    /// Removes the directory of a branch that has ended.
    pub fn remove(&self, branch: BranchId) {
        std::fs::remove_dir_all(self.dir_of(branch)).ok();
    }

    fn dir_of(&self, branch: BranchId) -> PathBuf {
        self.work_dir.join(format!("branch-{branch}"))
    }

    fn execute(
        &self,
        state: &RunState,
        branch: BranchId,
        dir: &Path,
        action: &Result<Action, ParseError>,
    ) -> Result<Observation, SearchError> {
        let undo = |dir: &Path| self.undo(state, branch, dir);
        let tree = state.tree(branch);
        let view = self.views.at(&TreeId(tree.to_owned()))?;
        let executor = Executor::new(self.sandbox, self.config, self.check)
            .with_undo(&undo)
            .with_view(&view);
        let action = match action {
            Ok(action) => action,
            Err(error) => return Ok(executor.unreadable(error)),
        };
        // It has nothing to change any more: a small model says so in this way.
        if state.has_work(branch) && changes_nothing(&view, action) {
            return Ok(Observation::new(
                StepOutcome::Submitted,
                "Nothing is left to change: the work is handed in.",
            ));
        }
        let changed = tree != state.start.base_tree;
        Ok(match state.memory(branch).review(action, tree, changed) {
            Verdict::Answer(observation) => observation,
            Verdict::Execute => executor.execute(dir, action)?,
        })
    }

    /// Makes `dir` hold the branch's tree before its last change; says which step that was.
    fn undo(
        &self,
        state: &RunState,
        branch: BranchId,
        dir: &Path,
    ) -> Result<Option<String>, AgentError> {
        let changes = state.changes(branch);
        let [.., before, last] = changes.as_slice() else {
            return Ok(None);
        };
        let Some(step) = last.step else {
            return Ok(None);
        };
        self.bench
            .shadow
            .restore(&TreeId(before.tree.to_owned()), dir)?;
        let tool = step.candidates[step.chosen].tool.as_deref();
        let tool = tool.unwrap_or("a step");
        Ok(Some(format!("{tool} of step {}", step.depth + 1)))
    }

    /// Makes `dir` hold a branch's tree as recorded.
    fn restore(&self, state: &RunState, branch: BranchId, dir: &Path) -> Result<(), SearchError> {
        std::fs::create_dir_all(dir).map_err(|source| SearchError::Io {
            what: "make the folder",
            path: dir.to_owned(),
            source,
        })?;
        let tree = TreeId(state.tree(branch).to_owned());
        Ok(self.bench.shadow.restore(&tree, dir)?)
    }
}
