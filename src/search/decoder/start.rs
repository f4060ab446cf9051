//! A branch at the start of a step: what it holds and what it may do.
use super::{Decoder, SearchError};
use crate::agent::{GrammarContext, ToolSet, grammar};
use crate::base::{BranchId, Purpose, RngKey, SamplerSettings, SeqId, StepId, Thought, ToolForm};
use crate::engine::GenerateJob;
use crate::index::RepoView;
use crate::search::state::RunState;
use crate::workspace::TreeId;
use std::sync::Arc;

pub(super) struct Start {
    pub branch: BranchId,
    pub seq: SeqId,
    /// Tokens before the action.
    pub len: usize,
    /// The random stream of the step.
    pub key: RngKey,
    /// The step that this one replaces.
    pub redo: Option<StepId>,
    /// The tools that may be called here.
    pub tools: ToolSet,
    /// The text that may stand before the call.
    pub thought: Thought,
    /// The call views one of the run's locations.
    pub is_locating: bool,
    /// The workspace's files.
    pub view: Arc<RepoView>,
    /// The names in it that a call may use, and those of them in the scope.
    pub everything: GrammarContext,
    pub grammar: GrammarContext,
}

impl Decoder<'_> {
    pub(super) fn start(
        &mut self,
        state: &RunState,
        branch: BranchId,
    ) -> Result<Start, SearchError> {
        let view = self.views.at(&TreeId(state.tree(branch).to_owned()))?;
        let budget = state.start.budget;
        let everything = GrammarContext::of(
            &view,
            self.engine.vocabulary(),
            self.dialect.calls(),
            self.config.limits(),
        )
        .with_reasoning(budget.reasoning_tokens_max);
        let mut tools = state.tools(self.config, branch);
        let locations = &state.start.locations;
        let is_first = state.branch(branch).steps.is_empty();
        let is_locating = is_first && !locations.is_empty() && tools.has(ToolForm::ViewSymbol);
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
        let seq = self.sequence_of(state, branch, self.strategy.share_prompt)?;
        Ok(Start {
            branch,
            seq,
            len: self.engine.tokens(seq).len(),
            key: state.step_key(branch),
            redo: state.redo_of(branch),
            tools,
            thought,
            is_locating,
            view,
            everything,
            grammar,
        })
    }

    /// The `candidate`-th action of a step, decoded from the end of `seq`.
    pub(super) fn job(
        &self,
        state: &RunState,
        start: &Start,
        seq: SeqId,
        candidate: usize,
        sampler: SamplerSettings,
    ) -> GenerateJob {
        let budget = &state.start.budget;
        GenerateJob {
            seq,
            sampler,
            rng: start.key.split(candidate as u64),
            tokens_max: budget.action_tokens_max + budget.reasoning_tokens_max,
            grammar: Some(grammar::lark(&start.tools, &start.thought, &start.grammar)),
            grammar_prefix: 0,
            stop_tokens: self.stop_tokens.clone(),
            first_token_not: Vec::new(),
            distinct: None,
            purpose: Purpose::Agent,
        }
    }
}
