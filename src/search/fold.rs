//! Room in a context that fills: old observations folded to one line each.
use super::controller::{Controller, SearchError};
use crate::agent::Transcript;
use crate::base::{BranchId, StepId, ToolName};
use crate::record::{Event, Folded, FoldedObservation, StepFinished};

/// Of the context, what a branch's history may take after folding: room for some more
/// steps, so that the cache is not computed anew at each of them.
const SHARE_AFTER: f32 = 0.6;
/// Characters of an action that its folded observation quotes.
const ACTION_CHARS_MAX: usize = 120;

impl Controller<'_> {
    /// True while a branch's context holds another action with its observation.
    pub(super) fn has_room(&self, branch: BranchId) -> bool {
        let held = self.recorder.state.tokens(branch).len();
        self.config.limits().unfolded_min == 0
            || held + self.step_tokens() <= self.engine.context_max()
    }

    /// Tokens that one step takes: its action, and an observation as long as the last ones
    /// were is not known, so a quarter of the context at most.
    fn step_tokens(&self) -> usize {
        let budget = &self.recorder.state.start.budget;
        let action = budget.action_tokens_max + budget.reasoning_tokens_max;
        action.min(self.engine.context_max() / 4)
    }

    /// Folds a branch's oldest observations until its history leaves room, the newest
    /// left whole. False where that is not enough for another step.
    ///
    /// The branch's next sequence is forked before the first that changes; what stands
    /// behind it is computed anew and counted so.
    pub(super) fn fold(&mut self, branch: BranchId) -> Result<bool, SearchError> {
        let state = &self.recorder.state;
        let kept = self.config.limits().unfolded_min as usize;
        if kept == 0 {
            return Ok(false);
        }
        let tokens_before = state.tokens(branch).len();
        let wanted = (self.engine.context_max() as f32 * SHARE_AFTER) as usize;
        let path: Vec<&StepFinished> = state.path(branch).collect();
        let old = &path[..path.len().saturating_sub(kept)];
        let mut tokens_after = tokens_before;
        let mut observations = Vec::new();
        for step in old {
            if tokens_after <= wanted {
                break;
            }
            if state.is_folded(branch, step.step) {
                continue;
            }
            let text = line_for(step);
            let tokens = self.render_behind(step, &text);
            let (long, short) = (step.observation_tokens.len(), tokens.len());
            if short >= long {
                continue;
            }
            tokens_after -= long - short;
            observations.push(FoldedObservation {
                step: step.step,
                text,
                tokens,
            });
        }
        if !observations.is_empty() {
            self.emit(Event::Folded(Folded {
                branch,
                observations,
                tokens_before,
                tokens_after,
            }))?;
        }
        Ok(tokens_after + self.step_tokens() <= self.engine.context_max())
    }

    /// An observation's tokens as they are rendered behind a step's action.
    fn render_behind(&self, step: &StepFinished, text: &str) -> Vec<u32> {
        let action = &step.candidates[step.chosen].tokens;
        let mut transcript = Transcript::new(Vec::new());
        let ids: Vec<u32> = action.iter().map(|token| token.token).collect();
        transcript.push_action(&ids);
        transcript.render_observation(self.engine.vocabulary(), self.dialect, text)
    }

    /// Steps of a branch whose observations were folded: their results are out of sight,
    /// so asking for them again is no repetition.
    pub(super) fn folded_steps(&self, branch: BranchId) -> Vec<StepId> {
        let state = &self.recorder.state;
        let folded = state
            .path(branch)
            .filter(|step| is_seen_again(step) && state.is_folded(branch, step.step));
        folded.map(|step| step.step).collect()
    }
}

/// The line in an observation's place.
fn line_for(step: &StepFinished) -> String {
    let taken = &step.candidates[step.chosen];
    let call = taken.canonical.lines().next().unwrap_or_default();
    let shown: String = call.chars().take(ACTION_CHARS_MAX).collect();
    let again = match is_seen_again(step) {
        true => " Call it again to see it.",
        false => "",
    };
    format!(
        "[Folded to save context: {} lines, outcome \"{}\", of {shown}.{again}]",
        step.observation.lines().count(),
        step.outcome.clause()
    )
}

/// True for a call that only looks: the same one shows the same again.
fn is_seen_again(step: &StepFinished) -> bool {
    let tool = step.candidates[step.chosen].tool.as_deref();
    matches!(
        tool.and_then(ToolName::named),
        Some(ToolName::List | ToolName::View | ToolName::Search | ToolName::Run)
    )
}
