//! Decisions to open and to end branches.
use super::world::{draft, no_branch, world};
use super::{check, edits};
use crate::base::{BranchId, StopRule};
use crate::record::{BranchStatus, StepOutcome};

#[test]
fn branches_are_opened_and_taken_to_their_steps() {
    let done = |strategy: &str| {
        world(strategy)
            .open()
            .took(0, edits(), StepOutcome::Submitted, "t")
            .ended(0, BranchStatus::Submitted, "patch")
    };
    let failed = || {
        world("egss")
            .open()
            .looked(0, "look")
            .took(0, edits(), StepOutcome::EditFailed, "base")
            .ended(0, BranchStatus::Abandoned, "")
    };
    check(&[
        ("a run begins from the prompt", world("egss"), "open"),
        (
            "a branch takes its first step",
            world("egss").open(),
            "propose 0",
        ),
        (
            "trajectories that start together are opened first",
            world("best-of-n").open(),
            "open",
        ),
        (
            "and step together",
            world("best-of-2").open().open(),
            "propose 0 1",
        ),
        (
            "as many as the budget has branches",
            world("best-of-n").budget(|b| b.branches_max = 1).open(),
            "propose 0",
        ),
        (
            "none follows where all started together",
            done("best-of-n").open().ended(1, BranchStatus::Stuck, ""),
            "stop",
        ),
        (
            "one trajectory is enough for a strategy of one",
            done("single"),
            "stop",
        ),
        (
            "corrections that are appended: the next trajectory is anew from the prompt",
            done("best-of-n-stop"),
            "open",
        ),
        (
            "with a beam all trajectories come from one tree",
            done("paper"),
            "stop",
        ),
        (
            "after a failure the search goes back to the point that is worth most",
            failed(),
            "open at step 0 of 0",
        ),
        (
            "no more branches than the budget has",
            failed().budget(|b| b.branches_max = 1),
            "stop",
        ),
        (
            "where no first step fits into an empty pool, none is opened again",
            world("egss").open().ended(0, BranchStatus::KvPoolFull, ""),
            "stop",
        ),
        (
            "n trajectories end the search",
            done("egss").with(|s| s.n = 1),
            "stop",
        ),
    ]);
}

#[test]
fn a_run_ends_by_its_budget_or_by_what_it_found() {
    let submitted = || {
        world("egss")
            .decisive()
            .open()
            .open()
            .took(0, edits(), StepOutcome::TestsPassed, "t")
            .ended(0, BranchStatus::Submitted, "patch")
    };
    check(&[
        (
            "tokens are spent",
            world("egss").open().facts(|f| f.spent_tokens = 200_000),
            "end 0: out of tokens",
        ),
        (
            "a step that is being decided is carried out before",
            world("egss")
                .open()
                .facts(|f| f.spent_tokens = 200_000)
                .round(&[0])
                .proposing(0, vec![draft("a")], |p| p.decision = Some(no_branch())),
            "carry out 0: 0",
        ),
        (
            "time is over, whatever is being decided",
            world("egss")
                .open()
                .facts(|f| f.is_over = true)
                .round(&[0])
                .proposing(0, vec![draft("a")], |p| p.decision = Some(no_branch())),
            "end 0: out of time",
        ),
        (
            "with no branch left it stops",
            world("egss")
                .open()
                .ended(0, BranchStatus::WallTimeSpent, "")
                .facts(|f| f.is_over = true),
            "stop",
        ),
        (
            "a patch that passes ends the others",
            submitted(),
            "end 1: not needed any more",
        ),
        (
            "unless the strategy goes on to the end",
            submitted().with(|s| s.stop = StopRule::NEVER),
            "propose 1",
        ),
        (
            "a check without a failing test decides nothing",
            world("egss")
                .open()
                .open()
                .took(0, edits(), StepOutcome::TestsPassed, "t")
                .ended(0, BranchStatus::Submitted, "patch"),
            "propose 1",
        ),
    ]);
}

#[test]
fn a_branch_ends_with_a_step_or_before_one() {
    let after = |strategy: &str, outcome, tree: &str| {
        world(strategy).open().took(0, edits(), outcome, tree)
    };
    let full = || world("egss").open().looked(0, "look");
    check(&[
        (
            "it handed in",
            after("egss", StepOutcome::Submitted, "t"),
            "end 0: submitted",
        ),
        (
            "the check passes and decides",
            world("egss")
                .decisive()
                .open()
                .took(0, edits(), StepOutcome::TestsPassed, "t"),
            "end 0: submitted",
        ),
        (
            "an edit failed, and the search goes back",
            after("egss", StepOutcome::EditFailed, "base"),
            "end 0: abandoned",
        ),
        (
            "an edit failed, and corrections are appended",
            after("single", StepOutcome::EditFailed, "base"),
            "propose 0",
        ),
        (
            "a test failed after a change",
            after("egss", StepOutcome::TestsFailed, "t"),
            "end 0: abandoned",
        ),
        (
            "a test failed before any change: the fault was reproduced",
            after("egss", StepOutcome::TestsFailed, "base"),
            "propose 0",
        ),
        (
            "the engine had no room for its action",
            full().rounds(|r| r.given_up = vec![(BranchId(0), BranchStatus::ContextFull)]),
            "end 0: context full",
        ),
        (
            "its steps are spent",
            full().budget(|b| b.steps_max = 1),
            "end 0: out of steps",
        ),
        (
            "its context is full, and nothing is folded",
            full().facts(|f| f.context_max = 30),
            "end 0: context full",
        ),
        (
            "its context is too full for the observation",
            full().facts(|f| f.context_max = 29),
            "end 0: context full",
        ),
        (
            "where old observations are folded, they are first",
            full().folding().facts(|f| f.context_max = 29),
            "fold 0",
        ),
        (
            "once",
            full()
                .folding()
                .facts(|f| f.context_max = 29)
                .rounds(|r| r.folded = vec![BranchId(0)]),
            "end 0: context full",
        ),
        (
            "a context without room for another step is folded before it",
            full().folding().facts(|f| f.context_max = 36),
            "fold 0",
        ),
    ]);
}
