//! The sentences a reader sees first: how a run and its branches ended.
use super::figures::{count, duration};
use super::view::{BranchView, RunView};
use crate::record::{BranchStatus, JudgeScore};

/// The run's outcome in one sentence.
pub fn run_outcome(view: &RunView) -> String {
    let work = format!(
        "{} on {}",
        count(view.steps.len(), "step"),
        count(view.branches.len(), "branch")
    );
    if view.ended.is_none() {
        return format!(
            "Unfinished: the record stops after {work} and {}; the run is still going, or it was stopped and can be resumed.",
            duration(view.wall_ms())
        );
    }
    let Some(winner) = view.winner() else {
        return format!("No patch: after {work} nothing was there to select.");
    };
    let patches = match view.patched().count() {
        0 | 1 => "the only patch".into(),
        n => format!("one of {n} patches"),
    };
    format!(
        "Branch {} won with {patches}{}, after {work} and {}.",
        winner.id,
        tests_clause(view, winner),
        duration(view.wall_ms())
    )
}

fn tests_clause(view: &RunView, winner: &BranchView) -> String {
    let Some(suite) = view.suite() else {
        return String::new();
    };
    let Some(run) = suite.run_on(Some(winner.id)) else {
        return String::new();
    };
    let mut counted = match suite.counted(run) {
        (_, 0) => ", which no test could judge".into(),
        (passed, counted) => format!(", passing {passed} of {counted} counted tests"),
    };
    if run.counts.not_run > 0 {
        counted += &format!(" ({} not run)", run.counts.not_run);
    }
    // Such an example fails on every patch and does not count (2.2): a reader
    // must not take the rest for success.
    match suite.unmet(run).len() {
        0 => counted,
        n => format!(
            "{counted}; but {} of the issue still fails",
            count(n, "example")
        ),
    }
}

/// How a branch stands, in a clause: `selected`, `abandoned: edit failed`, `still open`.
pub fn branch_end(view: &RunView, branch: &BranchView) -> String {
    let Some(ended) = &branch.ended else {
        return "still open".into();
    };
    if view.is_winner(branch.id) {
        return "selected".into();
    }
    if ended.status == BranchStatus::Abandoned
        && let Some(&last) = branch.path().last()
    {
        return format!("abandoned: {}", view.steps[last].outcome.clause());
    }
    let dropped = view.selected.as_ref().and_then(|selected| {
        let row = selected.ranking.iter().find(|row| row.branch == branch.id);
        row.map(|row| row.dropped.as_str())
    });
    match dropped {
        Some(why) if !why.is_empty() => format!("{}, dropped: {why}", ended.status.clause()),
        _ => ended.status.clause().into(),
    }
}

/// A judge's score and what it is the sum of.
pub fn judge_sentence(judge: &JudgeScore) -> String {
    let dimensions = judge.dimensions.iter();
    let dimensions: Vec<String> = dimensions
        .map(|(name, value)| format!("{} {value:.2}", name.replace('_', " ")))
        .collect();
    format!("{:.2} ({})", judge.score, dimensions.join(", "))
}

/// Where a branch came from, in a clause: `forked from branch 0 at step 2, 14
/// of 40 tokens into its action`.
pub fn branch_origin(view: &RunView, branch: &BranchView) -> String {
    let Some(fork) = branch.forked_from else {
        return "from the prompt".into();
    };
    let from = format!("forked from branch {} at step {}", fork.branch, fork.step);
    match view.seam(branch) {
        Some(seam) => format!(
            "{from}, {} of {} tokens into its action",
            seam.n_shared, seam.n_tokens
        ),
        None => from,
    }
}
