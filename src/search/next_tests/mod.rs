//! A table of decisions: the state of a run, and what comes next.
mod world;

use super::{Command, Rollout, RolloutKind};
use crate::base::{
    BranchId, BranchPolicy, GateSignal, JudgeMethod, JudgeWhen, Recovery, StepId, StopRule,
};
use crate::record::{BranchStatus, ForkPoint, StepOutcome};
use world::{World, candidate, decision, draft, gate, judge, no_branch, world};

/// A command without the clauses that it gives a person.
fn short(command: Command) -> String {
    match command {
        Command::Open { forked_from, .. } => match forked_from {
            None => "open".into(),
            Some(ForkPoint { branch, step }) => format!("open at step {step} of {branch}"),
        },
        Command::Fold { branch } => format!("fold {branch}"),
        Command::Propose { branches } => {
            let names: Vec<String> = branches.iter().map(ToString::to_string).collect();
            format!("propose {}", names.join(" "))
        }
        Command::Decide { branch, decision } => match decision.branch {
            true => format!("decide {branch}: {} candidates", decision.candidates),
            false => format!("decide {branch}: one"),
        },
        Command::RollOut(Rollout {
            branch,
            n,
            kind,
            tried,
        }) => {
            let kind = match kind {
                RolloutKind::Alternatives => "alternatives",
                RolloutKind::Vote => "voters",
                RolloutKind::Again => "others",
            };
            match tried.is_empty() {
                true => format!("roll out {branch}: {n} {kind}"),
                false => format!("roll out {branch}: {n} {kind} than {}", tried.join(" ")),
            }
        }
        Command::TakeUp {
            branch,
            step,
            index,
        } => format!("take up {branch}: {index} of step {step}"),
        Command::TryOut { branch, index } => format!("try out {branch}: {index}"),
        Command::Judge { branch } => format!("judge {branch}"),
        Command::CarryOut { branch, chosen, .. } => format!("carry out {branch}: {chosen}"),
        Command::End { branch, status } => format!("end {branch}: {}", status.clause()),
        Command::CloseRound => "close".into(),
        Command::Stop => "stop".into(),
    }
}

/// Fails with the case's sentence where `world` comes to something else than `wanted`.
fn check(cases: &[(&str, World, &str)]) {
    for (name, world, wanted) in cases {
        assert_eq!(short(world.next()), *wanted, "{name}");
    }
}

fn edits() -> Vec<crate::record::Candidate> {
    vec![candidate("a"), candidate("b")]
}

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

#[test]
fn an_uncertain_step_is_rolled_out_and_a_certain_one_is_not() {
    let deciding = |strategy: &str| world(strategy).open().round(&[0]);
    let by_tool = |nats: f32| {
        deciding("egss")
            .gated(gate(GateSignal::Tool, 1.0))
            .proposes(0, vec![draft("a").unsure(nats)])
    };
    let decided = |n: usize, drafts: Vec<super::Draft>| {
        deciding("egss").proposing(0, drafts, |p| p.decision = Some(decision(n)))
    };
    let voting = |drafts: Vec<super::Draft>, is_rolled_out: bool| {
        deciding("egss")
            .gated(gate(GateSignal::Vote, 0.5))
            .proposing(0, drafts, |p| p.is_rolled_out = is_rolled_out)
    };
    check(&[
        ("above the gate", by_tool(1.2), "decide 0: 4 candidates"),
        ("below the gate", by_tool(0.8), "decide 0: one"),
        (
            "a signal that was not measured",
            deciding("egss")
                .gated(gate(GateSignal::Tool, 1.0))
                .proposes(0, vec![draft("a")]),
            "decide 0: one",
        ),
        (
            "no gate of its own, and no steps to set one by",
            deciding("egss").proposes(0, vec![draft("a").unsure(9.0)]),
            "decide 0: one",
        ),
        (
            "a control branches at every step",
            deciding("branch-always").proposes(0, vec![draft("a")]),
            "decide 0: 4 candidates",
        ),
        (
            "one at edits does not at a view",
            deciding("branch-on-edit").proposes(0, vec![draft("a").calling("view")]),
            "decide 0: one",
        ),
        (
            "as many candidates as tokens are left for",
            deciding("branch-always")
                .facts(|f| f.spent_tokens = 200_000 - 700)
                .proposes(0, vec![draft("a")]),
            "decide 0: 3 candidates",
        ),
        (
            "an edit that gives the code back is rolled out whatever the gate says",
            deciding("egss").proposes(0, vec![draft("a").copy()]),
            "decide 0: 4 candidates",
        ),
        (
            "but not where corrections are appended",
            deciding("egss")
                .with(|s| s.recovery = Recovery::Append)
                .proposes(0, vec![draft("a").copy()]),
            "decide 0: one",
        ),
        (
            "a certain action is carried out",
            decided(1, vec![draft("a")]),
            "carry out 0: 0",
        ),
        (
            "an uncertain one has siblings",
            decided(4, vec![draft("a")]),
            "roll out 0: 3 alternatives",
        ),
        (
            "a vote is sampled before it is known",
            voting(vec![draft("a")], false),
            "roll out 0: 3 voters",
        ),
        (
            "and decided after that",
            voting(vec![draft("a"), draft("b").merged(3)], true),
            "decide 0: one",
        ),
        (
            "a vote that agrees takes what most say",
            deciding("egss").proposing(0, vec![draft("a"), draft("b").merged(3)], |p| {
                p.decision = Some(no_branch());
                p.is_rolled_out = true;
            }),
            "carry out 0: 1",
        ),
    ]);
}

#[test]
fn evidence_comes_before_siblings_and_before_the_judge() {
    let decided = |world: World, drafts: Vec<super::Draft>, is_rolled_out: bool| {
        world.open().round(&[0]).proposing(0, drafts, |p| {
            p.decision = Some(decision(4));
            p.is_rolled_out = is_rolled_out;
        })
    };
    let judged = |drafts| {
        let world = world("egss-judged").with(|s| s.evidence_first = false);
        decided(world, drafts, true)
    };
    let passed = StepOutcome::TestsPassed;
    let wrong = StepOutcome::TestsFailed;
    check(&[
        (
            "an uncertain edit is tried out first where the check decides",
            decided(world("egss").decisive(), vec![draft("a")], false),
            "try out 0: 0",
        ),
        (
            "one that passes needs no siblings",
            decided(
                world("egss").decisive(),
                vec![draft("a").tried(passed)],
                false,
            ),
            "carry out 0: 0",
        ),
        (
            "one that fails has them",
            decided(
                world("egss").decisive(),
                vec![draft("a").tried(wrong)],
                false,
            ),
            "roll out 0: 3 alternatives",
        ),
        (
            "what is no edit cannot be checked",
            decided(
                world("egss").decisive(),
                vec![draft("a").calling("view")],
                false,
            ),
            "roll out 0: 3 alternatives",
        ),
        (
            "siblings are tried out one after the other",
            decided(
                world("egss").decisive(),
                vec![draft("a").tried(wrong), draft("b")],
                true,
            ),
            "try out 0: 1",
        ),
        (
            "the first that passes is taken",
            decided(
                world("egss").decisive(),
                vec![
                    draft("a").tried(wrong),
                    draft("b").tried(passed),
                    draft("c"),
                ],
                true,
            ),
            "carry out 0: 1",
        ),
        (
            "where all fail, the first is taken without a judge",
            decided(
                world("egss-judged").decisive(),
                vec![draft("a").tried(wrong), draft("b").tried(wrong)],
                true,
            ),
            "carry out 0: 0",
        ),
        (
            "candidates are judged before any is carried out",
            judged(vec![draft("a"), draft("b")]),
            "judge 0",
        ),
        (
            "a single other action is not",
            judged(vec![draft("a"), draft("b").copy()]),
            "carry out 0: 0",
        ),
        (
            "the best judged is taken",
            judged(vec![draft("a").judged(0.2), draft("b").judged(0.7)])
                .rounds(|r| r.proposals[0].is_judged = true),
            "carry out 0: 1",
        ),
        (
            "of equals the one that was decoded first",
            judged(vec![draft("a").judged(0.7), draft("b").judged(0.7)])
                .rounds(|r| r.proposals[0].is_judged = true),
            "carry out 0: 0",
        ),
        (
            "what cannot be read comes last",
            judged(vec![draft("a").calling(""), draft("b").copy(), draft("c")])
                .rounds(|r| r.proposals[0].is_judged = true),
            "carry out 0: 2",
        ),
        (
            "a judge that sees results: each is carried out in a copy",
            judged(vec![draft("a").tried(StepOutcome::Ok), draft("b")])
                .with(|s| s.judge.when = JudgeWhen::After),
            "try out 0: 1",
        ),
        (
            "and judged then",
            judged(vec![
                draft("a").tried(StepOutcome::Ok),
                draft("b").tried(StepOutcome::Ok),
            ])
            .with(|s| s.judge.when = JudgeWhen::After),
            "judge 0",
        ),
        (
            "a question that does not fit is not asked",
            judged(vec![draft("a"), draft("b")]).facts(|f| f.context_max = 300),
            "carry out 0: 0",
        ),
        (
            "nor where nobody judges",
            judged(vec![draft("a"), draft("b")]).with(|s| s.judge.method = JudgeMethod::None),
            "carry out 0: 0",
        ),
    ]);
}

#[test]
fn a_point_that_the_search_came_back_to_is_taken_differently() {
    // Branch 0 took `a`; `b` was decoded there, too.
    let back = || {
        world("egss")
            .open()
            .took(0, edits(), StepOutcome::EditFailed, "base")
            .ended(0, BranchStatus::Abandoned, "")
            .fork(0, 0)
            .round(&[1])
    };
    let twice = || {
        world("egss")
            .open()
            .took(0, edits(), StepOutcome::EditFailed, "base")
            .ended(0, BranchStatus::Abandoned, "")
            .fork(0, 0)
            .fork(0, 0)
            .round(&[1, 2])
    };
    check(&[
        (
            "a candidate that nobody took comes first",
            back().proposes(1, Vec::new()),
            "take up 1: 1 of step 0",
        ),
        (
            "and is carried out",
            back().proposing(1, vec![draft("b")], |p| p.taken_up = Some((StepId(0), 1))),
            "carry out 1: 0",
        ),
        (
            "one that gives the code back is passed over: others are rolled out",
            back().proposing(1, Vec::new(), |p| p.passed_over = vec![(StepId(0), 1)]),
            "roll out 1: 4 others than a",
        ),
        (
            "nothing new was found",
            back().proposing(1, Vec::new(), |p| p.is_rolled_out = true),
            "end 1: stuck",
        ),
        (
            "what was found is carried out",
            back().proposing(1, vec![draft("c"), draft("d")], |p| p.is_rolled_out = true),
            "carry out 1: 0",
        ),
        (
            "two branches at one point take different actions",
            twice()
                .proposing(1, vec![draft("b")], |p| p.taken_up = Some((StepId(0), 1)))
                .proposes(2, Vec::new()),
            "roll out 2: 4 others than a b",
        ),
    ]);
}

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
    let scored = |name: &str, score: f32| crate::record::Candidate {
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

#[test]
fn the_same_state_gives_the_same_command() {
    let world = world("branch-random").open().round(&[0]);
    let world = world.proposes(0, vec![draft("a")]);
    let random = matches!(
        world.state.start.strategy.policy,
        BranchPolicy::Random { .. }
    );
    assert!(random);
    assert_eq!(world.next(), world.next());
}
