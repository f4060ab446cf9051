//! Why a patch was chosen, in words.
use super::tally::Tally;
use crate::base::BranchId;
use crate::record::Ranked;

/// What the counted tests say of the first.
fn tests_clause(winner: &Ranked) -> String {
    match winner.pass_rate {
        Some(rate) => format!("passes {:.0} % of the counted tests", rate * 100.0),
        None => "no test counts".to_owned(),
    }
}

/// Why the first of `staying` is first, where agreement decides.
pub(super) fn agreement_reason(
    staying: &[Ranked],
    entropy: impl Fn(BranchId) -> Option<f32>,
) -> String {
    let winner = &staying[0];
    let (branch, tests) = (winner.branch, tests_clause(winner));
    let Some(second) = staying.get(1) else {
        return format!("branch {branch} has the only code left: {tests}");
    };
    let by = if winner.pass_rate != second.pass_rate {
        "pass rate".to_owned()
    } else if winner.written_rate != second.written_rate {
        "tests that a model wrote, at the same pass rate".to_owned()
    } else if winner.agreeing != second.agreeing {
        format!("agreement: {} branches came to its code", winner.agreeing)
    } else if winner.patch_lines != second.patch_lines {
        "size of the patch, at the same pass rate and agreement".to_owned()
    } else if entropy(branch) != entropy(second.branch) {
        "entropy, at the same pass rate, agreement and size".to_owned()
    } else {
        "order: nothing tells it from the next".to_owned()
    };
    format!("branch {branch} is first by {by}: {tests}")
}

/// Why the first of `staying` is first.
pub(super) fn reason(
    staying: &[Ranked],
    tally: &Tally,
    entropy: impl Fn(BranchId) -> Option<f32>,
) -> String {
    let winner = &staying[0];
    let tests = tests_clause(winner);
    let Some(second) = staying.get(1) else {
        return format!("branch {} has the only patch left: {tests}", winner.branch);
    };
    if tally.n_voters == 0 {
        let by = if winner.pass_rate != second.pass_rate {
            "pass rate"
        } else if winner.written_rate != second.written_rate {
            "tests that a model wrote, at the same pass rate"
        } else if winner.score != second.score {
            "trajectory score, at the same pass rate"
        } else if winner.patch_lines != second.patch_lines {
            "size of the patch, at the same pass rate and score"
        } else if entropy(winner.branch) != entropy(second.branch) {
            "entropy, at the same pass rate, score and size"
        } else {
            "order: nothing tells it from the next"
        };
        return format!("branch {} is first by {by}: {tests}", winner.branch);
    }
    let votes = tally.votes(winner.branch);
    let count = format!("{votes} of {} votes", tally.n_voters);
    let tie = if votes != tally.votes(second.branch) {
        ""
    } else if winner.vote_total != second.vote_total {
        ", tied, and the higher total"
    } else if winner.patch_lines != second.patch_lines {
        ", tied in votes and total, and the smaller patch"
    } else if entropy(winner.branch) != entropy(second.branch) {
        ", tied in votes, total and size, and the lower entropy"
    } else {
        ", tied in everything, and came first"
    };
    format!("branch {} has {count}{tie}: {tests}", winner.branch)
}
