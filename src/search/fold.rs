//! Room in a context that fills: old observations folded to one line each.
//!
//! If a branch's context has no room for another step, one line takes the place of its oldest
//! observations, as many as it takes. The new history is forked before the first observation that
//! changed. The record gives the same tokens, so that a resumed run goes on alike.
use super::state::RunState;
use crate::base::{BranchId, ToolName};
use crate::record::{Folded, FoldedObservation, StepFinished};

/// Of the context, what a branch's history may take after folding: room for some more
/// steps, so that the cache is not computed anew at each of them.
const SHARE_AFTER: f32 = 0.6;
/// Characters of an action that its folded observation quotes.
const ACTION_CHARS_MAX: usize = 120;

/// True while a context of `n_tokens` holds another action with its observation.
pub(super) fn has_room(state: &RunState, n_tokens: usize, context_max: usize) -> bool {
    n_tokens + step_tokens(state, context_max) <= context_max
}

/// Tokens that one step takes: its action, and an observation as long as the last ones
/// were is not known, so a quarter of the context at most.
fn step_tokens(state: &RunState, context_max: usize) -> usize {
    let budget = &state.start.budget;
    let action = budget.action_tokens_max + budget.reasoning_tokens_max;
    action.min(context_max / 4)
}

/// A branch's oldest observations, folded until its history leaves room; the newest `n_kept`
/// stay whole. `None` where nothing can be folded. `render` gives an observation's tokens as
/// they stand behind a step's action.
///
/// The branch's next sequence is forked before the first that changes; what stands
/// behind it is computed anew and counted so.
pub(super) fn fold(
    state: &RunState,
    branch: BranchId,
    n_kept: usize,
    context_max: usize,
    render: impl Fn(&StepFinished, &str) -> Vec<u32>,
) -> Option<Folded> {
    let tokens_before = state.n_tokens(branch);
    let wanted = (context_max as f32 * SHARE_AFTER) as usize;
    let path: Vec<&StepFinished> = state.path(branch).collect();
    let old = &path[..path.len().saturating_sub(n_kept)];
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
        let tokens = render(step, &text);
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
    (!observations.is_empty()).then_some(Folded {
        branch,
        observations,
        tokens_before,
        tokens_after,
    })
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
pub(super) fn is_seen_again(step: &StepFinished) -> bool {
    let tool = step.candidates[step.chosen].tool.as_deref();
    matches!(
        tool.and_then(ToolName::named),
        Some(ToolName::List | ToolName::View | ToolName::Search | ToolName::Run)
    )
}
