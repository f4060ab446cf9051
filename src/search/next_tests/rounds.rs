//! Decisions on rounds and the beam.
use super::world::{World, candidate, draft, judge, no_branch, world};
use super::{check, edits, short};
use crate::base::{BranchId, StopRule};
use crate::record::{BranchStatus, Candidate, StepOutcome};

#[test]
fn a_round_is_finished_before_the_next_begins() {
    let two = || world("best-of-2").open().open();
    let taken = |world: World, branch: u32| {
        world.proposing(branch, vec![draft("a")], |p| p.decision = Some(no_branch()))
    };
    check(&[
        (
            "all steps are decided before one is carried out",
            taken(two().round(&[0, 1]), 0).proposes(1, vec![draft("a")]),
            "decide 1: one",
        ),
        (
            "then carried out in the order of their branches",
            taken(taken(two().round(&[0, 1]), 1), 0),
            "carry out 0: 0",
        ),
        (
            "a branch that takes an earlier step differently is decided after the others",
            taken(
                world("egss")
                    .open()
                    .open()
                    .looked(0, "x")
                    .looked(1, "y")
                    .fork(0, 0)
                    .round(&[0, 2]),
                0,
            )
            .proposes(2, Vec::new()),
            "roll out 2: 4 others than x y",
        ),
        (
            "a round without anything to do is closed",
            two().closing(0),
            "close",
        ),
        (
            "a round in which the run was stopped goes on with those that are behind",
            two().looked(0, "x"),
            "propose 1",
        ),
        (
            "and then with all",
            two().looked(0, "x").looked(1, "y"),
            "propose 0 1",
        ),
        (
            "with a full pool, branches go one by one",
            two().round(&[0, 1]).rounds(|r| r.is_alone = true),
            "propose 0",
        ),
    ]);
}

#[test]
fn a_full_pool_is_emptied_then_shared_by_nobody_then_given_up() {
    let mut world = world("best-of-2").open().open().round(&[0, 1]);
    let steps = [
        (false, true, "propose 0 1"),
        (true, false, "propose 0"),
        (true, true, "propose 0"),
    ];
    for (is_alone, made_room, wanted) in steps {
        world.round.crowd();
        let round = &world.round;
        assert_eq!((round.is_alone, round.made_room), (is_alone, made_room));
        assert_eq!(short(world.next()), wanted);
    }
    world.round.crowd();
    assert_eq!(short(world.next()), "end 0: KV pool full");
    // The next branch has an empty pool, too.
    world.round.done(BranchId(0));
    assert!(world.round.is_alone && !world.round.made_room);
}

#[test]
fn the_beam_keeps_the_best_of_branches_and_candidates() {
    let scored = |name: &str, score: f32| Candidate {
        judge: Some(judge(score)),
        ..candidate(name)
    };
    // One branch, at whose step two candidates were judged.
    let one = |beam: u32| {
        world("paper")
            .with(|s| s.beam = beam)
            .open()
            .took(
                0,
                vec![scored("a", 0.8), scored("b", 0.6)],
                StepOutcome::Ok,
                "t",
            )
            .closing(0)
    };
    // Two branches, of which the second was judged worse than the first's other candidate.
    let two = || {
        world("paper")
            .with(|s| s.beam = 2)
            .open()
            .open()
            .took(
                0,
                vec![scored("a", 0.8), scored("b", 0.6)],
                StepOutcome::Ok,
                "t",
            )
            .took(1, vec![scored("c", 0.3)], StepOutcome::Ok, "u")
            .closing(0)
    };
    check(&[
        (
            "a judged candidate gets a branch",
            one(2),
            "open at step 0 of 0",
        ),
        ("once", one(2).fork(0, 0), "close"),
        ("a beam of one has no room for it", one(1), "close"),
        ("a worse branch gives way to it", two(), "end 1: pruned"),
        (
            "before it is opened",
            two().ended(1, BranchStatus::Pruned, ""),
            "open at step 0 of 0",
        ),
        (
            "no more than the budget has branches",
            one(2).budget(|b| b.branches_max = 1),
            "close",
        ),
        (
            "a run that stops early fills no beam",
            one(2)
                .with(|s| {
                    s.stop = StopRule {
                        on_pass: true,
                        on_agreement: 0,
                    };
                })
                .decisive()
                .open()
                .took(1, edits(), StepOutcome::TestsPassed, "v")
                .ended(1, BranchStatus::Submitted, "patch"),
            "close",
        ),
    ]);
}
