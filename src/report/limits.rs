//! The agent's profile and the limits that bit, as a person reads them.
use super::figures::{count, thousands};
use super::view::RunView;
use crate::base::{LimitHit, StepId};
use crate::record::{RunStarted, StepFinished};

/// The profile by name and in its main figures, then each limit that kept something out
/// of the first prompt.
pub fn settings(start: &RunStarted) -> Vec<(&'static str, String)> {
    let budget = &start.budget;
    let mut agent = format!(
        "{}: {} a branch, {} an action, {} of context",
        start.profile.name,
        count(budget.steps_max as usize, "step"),
        count(budget.action_tokens_max, "token"),
        thousands(start.ctx_tokens as u64),
    );
    if budget.reasoning_tokens_max > 0 {
        let reasoning = thousands(budget.reasoning_tokens_max as u64);
        agent += &format!(", {reasoning} of reasoning");
    }
    let mut all = vec![("Agent", agent)];
    if !start.cuts.is_empty() {
        all.push(("Prompt was cut", cuts(&start.cuts)));
    }
    all
}

/// `view_lines_max: 400 of 1,234`.
pub fn cut(hit: &LimitHit) -> String {
    let max = thousands(hit.max);
    match hit.wanted {
        Some(wanted) => format!("{}: {max} of {}", hit.limit, thousands(wanted)),
        None => format!("{}: {max}, and there was more", hit.limit),
    }
}

fn cuts(hits: &[LimitHit]) -> String {
    let all: Vec<String> = hits.iter().map(cut).collect();
    all.join("; ")
}

/// Sentences about a step's observation: the limits that cut it, and the line that it
/// was folded to in a branch whose context filled.
pub fn notes(view: &RunView, step: &StepFinished) -> Vec<String> {
    let mut notes = Vec::new();
    if !step.cuts.is_empty() {
        notes.push(format!("Cut by {}.", cuts(&step.cuts)));
    }
    notes.extend(folds(view, step.step));
    notes
}

fn folds(view: &RunView, step: StepId) -> impl Iterator<Item = String> {
    view.folded.iter().flat_map(move |folded| {
        let of_step = folded.observations.iter().filter(move |o| o.step == step);
        of_step.map(|o| format!("Folded in branch {}: {}", folded.branch, o.text.trim()))
    })
}
