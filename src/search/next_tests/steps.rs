//! Decisions at a branch's step.
use super::world::{World, decision, draft, gate, no_branch, world};
use super::{check, edits};
use crate::base::{GateSignal, JudgeMethod, JudgeWhen, Recovery, StepId};
use crate::record::{BranchStatus, StepOutcome};
use crate::search::Draft;

#[test]
fn an_uncertain_step_is_rolled_out_and_a_certain_one_is_not() {
    let deciding = |strategy: &str| world(strategy).open().round(&[0]);
    let by_tool = |nats: f32| {
        deciding("egss")
            .gated(gate(GateSignal::Tool, 1.0))
            .proposes(0, vec![draft("a").unsure(nats)])
    };
    let decided = |n: usize, drafts: Vec<Draft>| {
        deciding("egss").proposing(0, drafts, |p| p.decision = Some(decision(n)))
    };
    let voting = |drafts: Vec<Draft>, is_rolled_out: bool| {
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
    let decided = |world: World, drafts: Vec<Draft>, is_rolled_out: bool| {
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
