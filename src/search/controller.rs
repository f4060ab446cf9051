//! The EGSS controller: steps living branches, opens new ones, and stops.
use super::clock::Clock;
use super::others::Others;
use super::propose::Proposal;
use super::recorder::Recorder;
use super::sequences::Sequences;
use super::views::Views;
use super::watch::Watcher;
use crate::agent::{AfterEdit, AgentConfig, AgentError, Dialect, Memory, ToolSet};
use crate::base::{
    BranchId, Deadline, GateSignal, PointWeights, Recovery, StepId, Strategy, UsageByPurpose,
};
use crate::engine::{Engine, EngineError, Finish};
use crate::index::RepoView;
use crate::lang::LangError;
use crate::record::{BranchStarted, BranchStatus, Event, ForkPoint, RecordError};
use crate::verify::{Bench, VerifyError};
use crate::workspace::{Sandbox, TreeId, WorkspaceError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What ends a run without a result. The record keeps what was done.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Agent(#[from] AgentError),
    #[error(transparent)]
    Lang(#[from] LangError),
    #[error(transparent)]
    Verify(#[from] VerifyError),
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("the strategy asks for the model {name:?}, which was not opened")]
    NoModel { name: String },
    #[error("the model {name:?} has no room for what it should read; raise --kv-mem or --ctx")]
    NoRoom { name: String },
    /// A continuation was cut short; room can still be made for it.
    #[error("the KV pool is full; raise --kv-mem or lower the number of branches")]
    Crowded,
    #[error("an entropy signal cannot be read: {0}")]
    Signal(String),
    #[error(
        "{} is being worked on by process {pid}; wait for its end, or stop it",
        run_dir.display()
    )]
    Held { run_dir: PathBuf, pid: String },
    #[error(
        "tests that passed on the base when the run began fail there now, twice ({n}: {}); give the run the interpreter and the environment that it had, or start a new one",
        names.join(", ")
    )]
    BaseChanged { n: usize, names: Vec<String> },
    #[error("the patch does not apply: {0}")]
    BadPatch(String),
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
}

/// Actions that are carried out at one point, for each of its k candidates, before
/// every other point had as many.
const TRIES_PER_CANDIDATE: usize = 4;

impl SearchError {
    /// True where a larger KV pool would have gone on.
    pub(super) fn is_pool_full(&self) -> bool {
        matches!(
            self,
            Self::Crowded | Self::Engine(EngineError::KvPoolFull { .. })
        )
    }

    /// True where a longer context, or more room for another model's, would have
    /// gone on.
    pub(super) fn is_context_full(&self) -> bool {
        matches!(
            self,
            Self::NoRoom { .. } | Self::Engine(EngineError::ContextFull { .. })
        )
    }
}

/// Everything that a run works with. The state of the run is the recorder's;
/// the rest can be made again from it.
pub struct Controller<'a> {
    pub(super) engine: &'a mut dyn Engine,
    /// Models that judge or vote beside it.
    pub(super) others: Others<'a>,
    pub(super) recorder: &'a mut Recorder,
    pub(super) strategy: &'a Strategy,
    pub(super) config: &'a AgentConfig,
    pub(super) dialect: &'a dyn Dialect,
    pub(super) sandbox: &'a Sandbox,
    pub(super) bench: &'a Bench<'a>,
    pub(super) check: Option<&'a dyn AfterEdit>,
    pub(super) views: &'a Views<'a>,
    pub(super) watcher: &'a dyn Watcher,
    pub(super) stop_tokens: Vec<u32>,
    /// Holds a directory for each living branch.
    pub(super) work_dir: PathBuf,
    pub(super) clock: Clock,
    pub(super) sequences: Sequences,
    /// All room there is has been made for what is being done: what does not fit
    /// now, never will.
    pub(super) made_room: bool,
    /// The engine's usage when the last event was recorded.
    pub(super) recorded: UsageByPurpose,
}

impl Controller<'_> {
    /// Steps and opens branches until the strategy or the budget is done. Work that the
    /// search's deadline cuts short is left out of the record, as if it had not begun.
    pub fn search(&mut self) -> Result<(), SearchError> {
        self.recorded = self.used();
        let deadline = self.clock.search();
        self.set_deadline(deadline);
        let searched = self.search_in_time();
        // Branches are ended, tested and ranked in the time that is left.
        self.set_deadline(self.clock.end());
        match searched {
            Err(_) if deadline.is_over() => {
                self.sequences.release_all(self.engine);
                self.end_all(BranchStatus::WallTimeSpent)
            }
            searched => searched,
        }
    }

    fn set_deadline(&mut self, deadline: Deadline) {
        self.sandbox.set_deadline(deadline);
        self.engine.set_deadline(deadline);
        for other in &mut self.others.0 {
            other.engine.set_deadline(deadline);
        }
    }

    fn end_all(&mut self, status: BranchStatus) -> Result<(), SearchError> {
        for branch in self.recorder.state.living() {
            self.end_branch(branch, status)?;
        }
        Ok(())
    }

    fn search_in_time(&mut self) -> Result<(), SearchError> {
        self.settle()?;
        loop {
            let living = self.recorder.state.living();
            if let Some(status) = self.spent() {
                return self.end_all(status);
            }
            if self.is_satisfied() {
                return self.end_all(BranchStatus::NotNeeded);
            }
            if living.is_empty() || self.opens_more_at_once() {
                if !self.open_branches()? {
                    return Ok(());
                }
                continue;
            }
            // A round in which the run was killed comes to its end first.
            let state = &self.recorder.state;
            let begun = |&branch: &BranchId| Some((branch, state.round_begun(branch)?));
            let (behind, begun): (Vec<_>, Vec<_>) = living.iter().filter_map(begun).unzip();
            match begun.into_iter().min() {
                Some(first) => self.round(&behind, first)?,
                None => self.round(&living, StepId(state.steps.len() as u32))?,
            }
        }
    }

    /// Does what a run that was killed had still to do after its last step: ends the
    /// branches that the step ended, and fills the beam if the round was over.
    fn settle(&mut self) -> Result<(), SearchError> {
        for branch in self.recorder.state.living() {
            let own = self.recorder.state.branch(branch);
            if own.steps.len() > own.n_inherited
                && let Some(status) = self.status_after_step(branch, Finish::GrammarEnd)
            {
                self.end_branch(branch, status)?;
            }
        }
        let state = &self.recorder.state;
        let is_amid = |&branch: &BranchId| state.round_begun(branch).is_some();
        match state.last_round() {
            Some(first) if !state.living().iter().any(is_amid) => self.fill_beam(first),
            _ => Ok(()),
        }
    }

    /// A step of each of `branches`, which ends the round that began with step `first`.
    fn round(&mut self, branches: &[BranchId], first: StepId) -> Result<(), SearchError> {
        let mut able = Vec::new();
        for &branch in branches {
            match self.status_before_step(branch)? {
                Some(status) => self.end_branch(branch, status)?,
                None => able.push(branch),
            }
        }
        let proposals = match self.with_room(|this| this.propose(&able)) {
            Err(error) if error.is_pool_full() => {
                self.one_by_one(&able)?;
                return self.fill_beam(first);
            }
            proposals => proposals?,
        };
        for (&branch, proposal) in able.iter().zip(proposals) {
            self.take(branch, proposal)?;
        }
        self.fill_beam(first)
    }

    /// A step of each branch, one after the other, each with the pool for itself.
    fn one_by_one(&mut self, branches: &[BranchId]) -> Result<(), SearchError> {
        for &branch in branches {
            self.sequences.release_all(self.engine);
            match self.with_room(|this| this.propose(&[branch])) {
                Err(error) if error.is_pool_full() => {
                    self.end_branch(branch, BranchStatus::KvPoolFull)?;
                }
                proposals => {
                    let proposal = proposals?.pop().expect("one result a branch");
                    self.take(branch, proposal)?;
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, branch: BranchId, proposal: Option<Proposal>) -> Result<(), SearchError> {
        match proposal {
            Some(proposal) => self.carry_out(proposal),
            None => self.end_branch(branch, BranchStatus::Stuck),
        }
    }

    /// Does `work`; if the pool is too full for it, once more with an empty pool.
    /// What was given back is computed anew from the record when it is needed.
    pub(super) fn with_room<T>(
        &mut self,
        mut work: impl FnMut(&mut Self) -> Result<T, SearchError>,
    ) -> Result<T, SearchError> {
        match work(self) {
            Err(error) if error.is_pool_full() => {
                self.sequences.release_all(self.engine);
                self.made_room = true;
                let result = work(self);
                self.made_room = false;
                result
            }
            result => result,
        }
    }

    /// How a branch ends before it takes another step, if it does.
    /// Folds the branch's history first where there is no room for another step.
    fn status_before_step(
        &mut self,
        branch: BranchId,
    ) -> Result<Option<BranchStatus>, SearchError> {
        let state = &self.recorder.state;
        let n_steps = state.branch(branch).steps.len() as u32;
        if n_steps >= state.start.budget.steps_max {
            return Ok(Some(BranchStatus::StepsSpent));
        }
        if !self.has_room(branch) {
            self.fold(branch)?;
        }
        let held = self.recorder.state.tokens(branch).len();
        Ok((held >= self.engine.context_max()).then_some(BranchStatus::ContextFull))
    }

    /// The run's limit that is used up, if one is.
    fn spent(&self) -> Option<BranchStatus> {
        let budget = &self.recorder.state.start.budget;
        if self.spent_tokens() >= budget.tokens_max {
            Some(BranchStatus::TokensSpent)
        } else if self.clock.search().is_over() {
            Some(BranchStatus::WallTimeSpent)
        } else {
            None
        }
    }

    /// Decoded + computed tokens of the run, what is not recorded yet included.
    pub(super) fn spent_tokens(&self) -> u64 {
        let unrecorded = self.used().total().spent_tokens() - self.recorded.total().spent_tokens();
        self.recorder.state.usage.total().spent_tokens() + unrecorded
    }

    /// True when the strategy stops early and there is reason to.
    pub(super) fn is_satisfied(&self) -> bool {
        self.recorder.state.satisfies(self.strategy.stop)
    }

    /// What all engines of the run have counted.
    pub(super) fn used(&self) -> UsageByPurpose {
        let mut used = self.engine.usage();
        used += self.others.usage();
        used
    }

    /// True while trajectories that start together are not all there.
    fn opens_more_at_once(&self) -> bool {
        let state = &self.recorder.state;
        let wanted = self.strategy.n.min(state.start.budget.branches_max);
        self.strategy.at_once && state.steps.is_empty() && (state.branches.len() as u32) < wanted
    }

    /// Opens what comes next when no branch lives. False when nothing does.
    fn open_branches(&mut self) -> Result<bool, SearchError> {
        let state = &self.recorder.state;
        let n_trajectories = state.finished().len() as u32;
        let n_branches = state.branches.len() as u32;
        if n_branches >= state.start.budget.branches_max {
            return Ok(false);
        }
        // No first step fits into an empty pool: another branch does no better.
        let stillborn = state.branches.iter().any(|branch| {
            let ended = branch.ended.as_ref();
            ended.is_some_and(|e| e.status == BranchStatus::KvPoolFull) && branch.steps.is_empty()
        });
        if stillborn {
            return Ok(false);
        }
        if self.strategy.at_once {
            if !self.opens_more_at_once() {
                return Ok(false);
            }
            self.open(None, "from the prompt".into())?;
            return Ok(true);
        }
        if n_trajectories >= self.strategy.n {
            return Ok(false);
        }
        if n_branches == 0 {
            self.open(None, "from the prompt".into())?;
            return Ok(true);
        }
        if let Recovery::Fork(weights) = self.strategy.recovery {
            return self.go_back(&weights);
        }
        // Independent trajectories, one after the other; each counts, with a
        // patch or without. With a beam all of them come from one prompt's tree.
        if n_branches >= self.strategy.n || self.strategy.beam > 1 {
            return Ok(false);
        }
        self.open(None, "from the prompt".into())?;
        Ok(true)
    }

    /// Forks at the open point that is worth most. False where none is open.
    fn go_back(&mut self, weights: &PointWeights) -> Result<bool, SearchError> {
        let state = &self.recorder.state;
        let signal = state.gate_signal().unwrap_or(GateSignal::DEFAULT);
        let mut tries_max = TRIES_PER_CANDIDATE * (self.strategy.k as usize).max(2);
        let point = loop {
            if let Some(point) = state.best_point(signal, weights, tries_max) {
                break point;
            }
            if tries_max >= state.start.budget.branches_max as usize {
                return Ok(false);
            }
            // All have had their tries, and nothing that they found passes.
            tries_max *= 2;
        };
        let from = ForkPoint {
            branch: point.branch,
            step: point.step,
        };
        let figures = point.clause(signal);
        let reason = format!(
            "back to step {} of branch {}, the open point worth most ({figures})",
            point.step, point.branch
        );
        self.open(Some(from), reason)?;
        Ok(true)
    }

    pub(super) fn open(
        &mut self,
        forked_from: Option<ForkPoint>,
        reason: String,
    ) -> Result<(), SearchError> {
        let branch = BranchId(self.recorder.state.branches.len() as u32);
        self.emit(Event::BranchStarted(BranchStarted {
            branch,
            forked_from,
            reason,
        }))
    }

    pub(super) fn emit(&mut self, event: Event) -> Result<(), SearchError> {
        self.watcher.event(&event, &self.recorder.state);
        Ok(self.recorder.emit(event)?)
    }

    /// What the engine spent since the last event that took it.
    pub(super) fn take_usage(&mut self) -> UsageByPurpose {
        let now = self.used();
        let spent = now.since(&self.recorded);
        self.recorded = now;
        spent
    }

    pub(super) fn memory(&self, branch: BranchId) -> Memory {
        let state = &self.recorder.state;
        Memory::replay(
            &state.start.base_tree,
            state.path(branch),
            &self.folded_steps(branch),
        )
    }

    pub(super) fn tools_of(&self, branch: BranchId) -> ToolSet {
        let state = &self.recorder.state;
        let n_steps = state.branch(branch).steps.len() as u32;
        let changed = match self.strategy.recovery {
            Recovery::Append => state.tree(branch) != state.start.base_tree,
            // A branch that revises what a test speaks against has to change it.
            Recovery::Fork(_) => state.has_work(branch),
        };
        self.memory(branch)
            .tools(self.config, changed, state.start.budget.steps_max - n_steps)
    }

    /// Gives every sequence back.
    pub fn release(&mut self) {
        self.sequences.release_all(self.engine);
    }

    /// The files of a branch's workspace, as recorded.
    pub(super) fn view(&self, branch: BranchId) -> Result<Arc<RepoView>, SearchError> {
        let tree = TreeId(self.recorder.state.tree(branch).to_owned());
        Ok(self.views.at(&tree)?)
    }

    /// The directory of a living branch, holding its tree as recorded.
    pub(super) fn workspace(&self, branch: BranchId) -> Result<PathBuf, SearchError> {
        let dir = self.work_dir.join(format!("branch-{branch}"));
        self.restore(branch, &dir)?;
        Ok(dir)
    }

    /// Makes `dir` hold a branch's tree as recorded.
    pub(super) fn restore(&self, branch: BranchId, dir: &Path) -> Result<(), SearchError> {
        std::fs::create_dir_all(dir).map_err(|source| SearchError::Io {
            what: "make the folder",
            path: dir.to_owned(),
            source,
        })?;
        let tree = TreeId(self.recorder.state.tree(branch).to_owned());
        Ok(self.bench.shadow.restore(&tree, dir)?)
    }
}
