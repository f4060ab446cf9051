//! The run as a text tree, for a terminal.
use super::baseline::comparison;
use super::decoding::decoding;
use super::figures::{action, count, duration, issue_title, thousands, times, two};
use super::sentence::{branch_end, branch_origin, run_outcome};
use super::spread::Spread;
use super::view::{BranchView, RunView, chosen, signal_nats};
use crate::record::StepFinished;
use std::fmt::Write;

/// Width of an action's one-line text, characters.
const ACTION_CHARS_MAX: usize = 44;

/// Renders the tree. Plain text: control characters that a model wrote are
/// taken out, so nothing in a record can move the cursor or colour the screen.
pub fn text(view: &RunView) -> String {
    let mut out = String::new();
    head(&mut out, view).expect("writing to a string");
    out
}

fn head(out: &mut String, view: &RunView) -> std::fmt::Result {
    let start = &view.start;
    writeln!(out, "{}", issue_title(&start.issue))?;
    writeln!(
        out,
        "{} · {} · seed {} · {}",
        clean(&start.model),
        clean(&start.strategy.name),
        start.seed,
        clean(&start.device)
    )?;
    writeln!(out, "\n{}", clean(&run_outcome(view)))?;
    if let Some(selected) = &view.selected {
        writeln!(out, "Why: {}", clean(&selected.reason))?;
    }
    if let Some(spread) = Spread::of(view) {
        writeln!(out, "Entropy: {}", spread.sentence())?;
    }
    writeln!(out, "\nprompt, {} tokens", start.prompt_tokens.len())?;
    let roots: Vec<usize> = (0..view.branches.len())
        .filter(|&at| parent(view, at).is_none())
        .collect();
    branches(out, view, &roots, "")?;
    let total = view.usage().total();
    writeln!(
        out,
        "\n{} tokens decoded, {} computed, {} reused, {}, {} blocks copied, {}",
        thousands(total.decoded_tokens),
        thousands(total.computed_tokens),
        thousands(total.reused_tokens),
        count(total.forks as usize, "fork"),
        thousands(total.blocks_copied),
        duration(view.wall_ms())
    )?;
    if let Some(decoding) = decoding(&total) {
        writeln!(out, "{decoding}")?;
    }
    let found = comparison(view);
    writeln!(
        out,
        "{} spent; the same branches without forks: {} with one shared prompt ({}), {} each from an empty cache ({})",
        thousands(found.run.spent_tokens()),
        thousands(found.shared_prompt.spent_tokens()),
        times(found.shared_prompt.spent_tokens(), found.run.spent_tokens()),
        thousands(found.naive.spent_tokens()),
        times(found.naive.spent_tokens(), found.run.spent_tokens())
    )
}

fn parent(view: &RunView, at: usize) -> Option<usize> {
    let fork = view.branches[at].forked_from?;
    view.branches[..at]
        .iter()
        .position(|other| other.id == fork.branch)
}

fn branches(out: &mut String, view: &RunView, list: &[usize], indent: &str) -> std::fmt::Result {
    for (nth, &at) in list.iter().enumerate() {
        let last = nth + 1 == list.len();
        let (corner, below) = if last {
            ("└─", "   ")
        } else {
            ("├─", "│  ")
        };
        let branch = &view.branches[at];
        let mark = if view.is_winner(branch.id) {
            " ★"
        } else {
            ""
        };
        writeln!(
            out,
            "{indent}{corner} branch {}{mark}  {}; {}",
            branch.id,
            branch_origin(view, branch),
            clean(&branch_end(view, branch))
        )?;
        let indent = format!("{indent}{below}");
        steps(out, view, branch, &indent)?;
        let forks: Vec<usize> = (0..view.branches.len())
            .filter(|&other| parent(view, other) == Some(at))
            .collect();
        branches(out, view, &forks, &indent)?;
    }
    Ok(())
}

fn steps(out: &mut String, view: &RunView, branch: &BranchView, indent: &str) -> std::fmt::Result {
    for &at in &branch.own_steps {
        writeln!(out, "{indent}  {}", step(&view.steps[at]))?;
    }
    Ok(())
}

fn step(step: &StepFinished) -> String {
    let (tool, rest) = chosen(step).map_or_else(Default::default, |candidate| {
        action(candidate, ACTION_CHARS_MAX)
    });
    let mut line = format!(
        "{:>4}  {:<7} {:<width$}  {:>5} nats  {}",
        step.step.0,
        tool,
        rest,
        two(signal_nats(step)),
        step.outcome.clause(),
        width = ACTION_CHARS_MAX + 1
    );
    if step.decision.branch {
        line += &format!(
            "  ◆ {}, took {}",
            count(step.candidates.len(), "candidate"),
            step.chosen + 1
        );
    }
    line
}

/// Text on one line without control characters, uncut.
fn clean(text: &str) -> String {
    super::figures::one_line(text, usize::MAX)
}
