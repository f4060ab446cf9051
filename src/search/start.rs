//! A branch at the start of a step: what it holds and what it may do.
use super::controller::{Controller, SearchError};
use crate::agent::{GrammarContext, ToolSet, grammar};
use crate::base::{BranchId, Purpose, RngKey, SamplerSettings, SeqId, StepId, Thought, ToolForm};
use crate::engine::{EngineError, GenerateJob, Progress};
use crate::index::RepoView;
use std::sync::Arc;

pub(super) struct Start {
    pub branch: BranchId,
    pub seq: SeqId,
    /// Tokens before the action.
    pub len: usize,
    pub depth: u32,
    /// The step that this one replaces.
    pub redo: Option<StepId>,
    /// What may be called here.
    pub tools: ToolSet,
    /// The text that may stand before the call.
    pub thought: Thought,
    /// The call views one of the run's locations.
    pub is_locating: bool,
    /// What the workspace holds.
    pub view: Arc<RepoView>,
    /// What of it can be named, and what of that lies in the scope.
    pub everything: GrammarContext,
    pub grammar: GrammarContext,
}

impl Controller<'_> {
    pub(super) fn start(&mut self, branch: BranchId) -> Result<Start, SearchError> {
        let view = self.view(branch)?;
        let budget = self.recorder.state.start.budget;
        let everything = GrammarContext::of(
            &view,
            self.engine.vocabulary(),
            self.dialect.calls(),
            self.config.limits(),
        )
        .with_reasoning(budget.reasoning_tokens_max);
        let depth = self.recorder.state.branch(branch).steps.len() as u32;
        let mut tools = self.tools_of(branch);
        let locations = &self.recorder.state.start.locations;
        let is_locating = depth == 0 && !locations.is_empty() && tools.has(ToolForm::ViewSymbol);
        let (grammar, thought) = match is_locating {
            // Sentences before it would settle the choice before it is measured.
            true => {
                let views = [ToolForm::View, ToolForm::ViewSymbol];
                tools = tools.only_forms(|form| views.contains(&form));
                (everything.clone().at_locations(locations), Thought::None)
            }
            false => (
                everything
                    .clone()
                    .without_symbols(&self.config.scope.closed),
                self.config.profile.thought.clone(),
            ),
        };
        let share = self.strategy.share_prompt;
        let seq = self.sequence_of(branch, share)?;
        Ok(Start {
            branch,
            seq,
            len: self.engine.tokens(seq).len(),
            depth,
            redo: self.redo_of(branch),
            tools,
            thought,
            is_locating,
            view,
            everything,
            grammar,
        })
    }

    /// The sequence of a living branch, as [`Sequences::of_branch`]; the watcher is told how
    /// far it is.
    ///
    /// [`Sequences::of_branch`]: super::sequences::Sequences::of_branch
    pub(super) fn sequence_of(
        &mut self,
        branch: BranchId,
        share_prompt: bool,
    ) -> Result<SeqId, EngineError> {
        let (watcher, state) = (self.watcher, &self.recorder.state);
        let on_step = &mut |progress: Progress<'_>| watcher.progress(&progress);
        self.sequences
            .of_branch(self.engine, state, branch, share_prompt, on_step)
    }

    /// The step that the branch's next one replaces: it was forked there and
    /// has not moved yet.
    fn redo_of(&self, branch: BranchId) -> Option<StepId> {
        let state = &self.recorder.state;
        let moved = state.branch(branch).steps.len() > state.branch(branch).n_inherited;
        state
            .branch(branch)
            .forked_from
            .filter(|_| !moved)
            .map(|from| from.step)
    }

    /// The `candidate`-th action of a step, decoded from the end of `seq`.
    pub(super) fn job(
        &self,
        start: &Start,
        seq: SeqId,
        candidate: usize,
        sampler: SamplerSettings,
    ) -> GenerateJob {
        let budget = &self.recorder.state.start.budget;
        GenerateJob {
            seq,
            sampler,
            rng: self.key(start).split(candidate as u64),
            tokens_max: budget.action_tokens_max + budget.reasoning_tokens_max,
            grammar: Some(grammar::lark(&start.tools, &start.thought, &start.grammar)),
            grammar_prefix: 0,
            stop_tokens: self.stop_tokens.clone(),
            first_token_not: Vec::new(),
            distinct: None,
            purpose: Purpose::Agent,
        }
    }

    /// The random stream of a step: by what stands before it, so that a resumed
    /// run draws the same numbers.
    pub(super) fn key(&self, start: &Start) -> RngKey {
        RngKey::from_seed(self.recorder.state.start.seed)
            .split(u64::from(self.point_branch(start).0))
            .split(u64::from(start.depth))
    }

    /// The branch on which the point was first reached.
    fn point_branch(&self, start: &Start) -> BranchId {
        start
            .redo
            .map_or(start.branch, |step| self.recorder.state.step(step).branch)
    }
}
