//! Whole records: one that looks like a real run, one of any length.
use super::*;
use egss::base::{ForkAt, JudgeMethod, JudgeWhen};

const VIEW: &str = "<tool_call>\n{\"name\": \"view\", \"arguments\": {\"path\":\"stock/ledger.py\",\"start\":29,\"end\":35}}\n</tool_call>";
const SEARCH: &str =
    "<tool_call>\n{\"name\": \"search\", \"arguments\": {\"text\":\"def report\"}}\n</tool_call>";
const RUN: &str = "<tool_call>\n{\"name\": \"run\", \"arguments\": {\"command\":\"python -m pytest -q\"}}\n</tool_call>";
const SUBMIT: &str = "<tool_call>\n{\"name\": \"submit\", \"arguments\": {}}\n</tool_call>";
const EDIT: &str = "The day itself is left out.\n<tool_call>\n{\"name\": \"edit\", \"arguments\": {\"path\":\"stock/ledger.py\",\"symbol\":\"balance\"}}\n</tool_call>\n```python\ndef balance(entries, day):\n    total = 0\n    for entry in entries:\n        if entry.day <= day:\n            total += entry.quantity\n    return total\n```";
const EDIT_WRONG: &str = "<tool_call>\n{\"name\": \"edit\", \"arguments\": {\"path\":\"stock/ledger.py\",\"symbol\":\"balance\"}}\n</tool_call>\n```python\ndef balance(entries, day):\n    return sum(e.quantity for e in entries if e.day < day + 2)\n```";
const SOURCE: &str = "    29  def balance(entries, day):\n    30      \"\"\"Quantity on hand at the end of `day`.\"\"\"\n    31      total = 0\n    32      for entry in entries:\n    33          if entry.day < day:\n    34              total += entry.quantity\n    35      return total";

/// Three trajectories: one abandoned, one that went wrong, one that won.
pub fn realistic() -> Synthetic {
    use StepOutcome::*;
    let mut r = Synthetic::new(
        "# Deliveries on the day itself are missing from the stock report\n\nI booked 12 crates on 4 March and printed the report of 4 March. It says 30; I expect 42.\n",
    );
    let step = |branch, depth, tool, text, signal_nats, outcome, observation, siblings| Step {
        branch,
        depth,
        tool,
        text,
        signal_nats,
        outcome,
        observation,
        siblings,
    };
    r.branch(0, None, "first trajectory");
    r.step(step(
        0,
        0,
        "search",
        SEARCH,
        0.41,
        Ok,
        "stock/report.py:12: def report(store, day):",
        &[],
    ));
    r.step(step(0, 1, "view", VIEW, 0.12, Ok, SOURCE, &[]));
    let fork = r.step(step(
        0,
        2,
        "edit",
        EDIT_WRONG,
        2.64,
        EditFailed,
        "The text to replace was not found. The nearest text is:\n        if entry.day < day:",
        &[EDIT, RUN],
    ));
    r.end_branch(0, BranchStatus::Abandoned, "", 0.48);
    r.branch(1, Some((0, fork)), "the edit of step 2 did not apply");
    let second = r.step(step(
        1,
        2,
        "edit",
        EDIT,
        2.13,
        Ok,
        "Replaced 1 line in stock/ledger.py.",
        &[EDIT_WRONG, EDIT_WRONG],
    ));
    r.step(step(
        1,
        3,
        "run",
        RUN,
        0.33,
        TestsPassed,
        "9 passed in 0.04s",
        &[],
    ));
    r.step(step(
        1,
        4,
        "submit",
        SUBMIT,
        0.02,
        Submitted,
        "Handed in.",
        &[],
    ));
    r.end_branch(1, BranchStatus::Submitted, PATCH, 0.81);
    r.branch(2, Some((1, second)), "the most uncertain step of branch 1");
    r.step(step(
        2,
        2,
        "edit",
        EDIT_WRONG,
        1.42,
        Ok,
        "Replaced 1 line in stock/ledger.py.",
        &[],
    ));
    r.step(step(
        2,
        3,
        "run",
        RUN,
        0.72,
        TestsFailed,
        "2 failed, 7 passed in 0.05s",
        &[],
    ));
    r.end_branch(2, BranchStatus::Abandoned, "", 0.52);
    r.branch(3, None, "second trajectory");
    r.step(step(3, 0, "view", VIEW, 3.31, Ok, SOURCE, &[VIEW, SEARCH]));
    r.step(step(
        3,
        1,
        "edit",
        EDIT_WRONG,
        1.11,
        Ok,
        "Replaced 1 line in stock/ledger.py.",
        &[],
    ));
    r.step(step(
        3,
        2,
        "submit",
        SUBMIT,
        0.09,
        Submitted,
        "Handed in.",
        &[],
    ));
    let other = PATCH.replace("<= day", "<= day + 1");
    r.end_branch(3, BranchStatus::Submitted, &other, 0.44);

    let [new, report, old] = [
        "test_current_issue.py::test_delivery_of_the_day_counts",
        "test_current_issue.py::test_report_of_the_day",
        "tests/test_ledger.py::test_empty_ledger_is_zero",
    ];
    let wrong = "test_current_issue.py::test_yesterday_is_42";
    r.push(Event::SuiteBuilt(SuiteBuilt {
        file: "test_current_issue.py".into(),
        text: "from stock.ledger import balance\n\n\ndef test_delivery_of_the_day_counts():\n    assert balance([Entry(4, 42)], 4) == 42\n".into(),
        repository_tests: vec!["tests/test_ledger.py".into()],
        sources: vec!["test_delivery_of_the_day_counts: written for the issue".into()],
        usage: AUGMENTATION,
        ..SuiteBuilt::default()
    }));
    use TestResult::{Failed, Passed};
    r.suite_run(
        None,
        &[
            (new, Failed),
            (report, Failed),
            (wrong, Failed),
            (old, Passed),
        ],
    );
    r.suite_run(
        Some(1),
        &[
            (new, Passed),
            (report, Passed),
            (wrong, Failed),
            (old, Passed),
        ],
    );
    r.suite_run(
        Some(3),
        &[
            (new, Passed),
            (report, Failed),
            (wrong, Failed),
            (old, Passed),
        ],
    );
    r.push(Event::SuiteClassified(SuiteClassified {
        classes: vec![
            (new.into(), TestClass::Discriminating),
            (report.into(), TestClass::Discriminating),
            (wrong.into(), TestClass::Unsatisfied),
            (old.into(), TestClass::Regression),
        ],
        ..SuiteClassified::default()
    }));
    let vote = |branch, total, gated| {
        let names = [
            "requirement_relevance",
            "code_accuracy",
            "change_precision",
            "dependency_awareness",
            "code_quality",
            "functionality_validation",
        ];
        Event::Voted(Voted {
            voter: "T = 0".into(),
            branch: BranchId(branch),
            dimensions: names
                .iter()
                .map(|name| ((*name).into(), total / 6.0))
                .collect(),
            total,
            gated,
            usage: UsageByPurpose::default(),
        })
    };
    r.push(vote(1, 14.7, false));
    r.push(vote(3, 7.2, true));
    let row = |branch, rate, score, total| Ranked {
        branch: BranchId(branch),
        pass_rate: Some(rate),
        not_run: 0,
        written_rate: None,
        score: Some(score),
        vote_total: Some(total),
        agreeing: 1,
        patch_lines: 2,
        dropped: String::new(),
        fault: None,
    };
    r.push(Event::Selected(Selected {
        usage: UsageByPurpose::default(),
        branch: Some(BranchId(1)),
        reason: "branch 1 passes 3 of 3 counted tests, branch 3 passes 2 of 3; its votes total 14.70 against 7.20".into(),
        ranking: vec![row(1, 1.0, 0.81, 14.7), row(3, 0.667, 0.44, 7.2)],
    }));
    r.end_run(PATCH);
    r
}

/// Three branches that live at once: siblings that leave an action in its
/// midst, one pruned, one judged whole, two voters.
pub fn beam() -> Synthetic {
    use StepOutcome::*;
    let mut r = Synthetic::new("Deliveries on the day itself are missing");
    let strategy = &mut r.start().strategy;
    strategy.name = "egss-beam".into();
    strategy.beam = 3;
    strategy.fork_at = ForkAt::Token;
    strategy.judge.method = JudgeMethod::Rationale;
    strategy.judge.when = JudgeWhen::After;
    let step = |branch, depth, text, signal_nats, outcome, siblings| Step {
        branch,
        depth,
        tool: if text == VIEW { "view" } else { "edit" },
        text,
        signal_nats,
        outcome,
        observation: SOURCE,
        siblings,
    };
    let left = |n: usize| {
        move |step: &mut StepFinished| {
            let chosen = step.chosen;
            let taken = &mut step.candidates[chosen];
            taken.forked_at = n;
            taken.temperature = 0.9;
        }
    };
    let judged = |step: &mut StepFinished| {
        for (nth, candidate) in step.candidates.iter_mut().enumerate() {
            candidate.forked_at = 11 * nth;
            let judge = candidate.judge.as_mut().unwrap();
            judge.rationale = Some("It edits what the failing example runs.".into());
            candidate.tried = Some(Tried {
                outcome: if nth == 0 { TestsFailed } else { Ok },
                cuts: Vec::new(),
                observation: "1 failed, 8 passed".into(),
                tree: "2".repeat(40),
            });
        }
    };
    r.branch(0, None, "from the prompt");
    r.step(step(0, 0, VIEW, 0.2, Ok, &[]));
    let fork = r.step_but(step(0, 1, EDIT_WRONG, 2.4, Ok, &[EDIT, EDIT_WRONG]), judged);
    r.branch(1, Some((0, fork)), "second in the beam");
    r.branch(2, Some((0, fork)), "third in the beam");
    r.step_but(step(1, 1, EDIT, 1.1, Ok, &[]), left(14));
    r.step_but(step(2, 1, EDIT_WRONG, 1.3, Ok, &[]), left(38));
    r.step(step(0, 2, VIEW, 0.3, TestsFailed, &[]));
    r.step(step(1, 2, VIEW, 0.1, TestsPassed, &[]));
    r.end_branch(2, BranchStatus::Pruned, "", 0.3);
    r.step_but(step(0, 3, EDIT_WRONG, 0.9, Ok, &[]), left(20));
    r.step(step(1, 3, SUBMIT, 0.05, Submitted, &[]));
    r.end_branch(1, BranchStatus::Submitted, PATCH, 0.81);
    r.end_branch(
        0,
        BranchStatus::StepsSpent,
        &PATCH.replace("<=", "=="),
        0.41,
    );
    r.push(Event::TrajectoryJudged(TrajectoryJudged {
        branch: BranchId(0),
        judge: JudgeScore {
            dimensions: vec![("step_consistency".into(), 1.5)],
            score: 0.41,
            rationale: Some("It never ran the example.".into()),
        },
        usage: AUGMENTATION,
    }));
    let (steady, flaky) = (
        "test_current_issue.py::test_day",
        "tests/test_clock.py::test_now",
    );
    r.push(Event::SuiteBuilt(SuiteBuilt {
        file: "test_current_issue.py".into(),
        ..SuiteBuilt::default()
    }));
    for (branch, result) in [
        (None, TestResult::Failed),
        (Some(0), TestResult::Failed),
        (Some(1), TestResult::Passed),
    ] {
        r.suite_run(branch, &[(steady, result), (flaky, TestResult::Failed)]);
    }
    r.push(Event::SuiteClassified(SuiteClassified {
        classes: vec![(steady.into(), TestClass::Discriminating)],
        set_aside: vec![(flaky.into(), "it differs from run to run".into())],
        ..SuiteClassified::default()
    }));
    for voter in ["maintainer, T = 0", "sceptic, T = 1"] {
        for (branch, total) in [(0, 6.5), (1, 15.0)] {
            r.push(Event::Voted(Voted {
                voter: voter.into(),
                branch: BranchId(branch),
                dimensions: vec![("code_quality".into(), total / 6.0)],
                total,
                gated: branch == 0,
                usage: UsageByPurpose::default(),
            }));
        }
    }
    r.push(Event::Selected(Selected {
        usage: UsageByPurpose::default(),
        branch: Some(BranchId(1)),
        reason: "both voters prefer branch 1".into(),
        ranking: Vec::new(),
    }));
    r.end_run(PATCH);
    r
}

/// A run of exactly `n_steps` steps, each branch forked from an earlier one.
pub fn long(n_steps: u32) -> Synthetic {
    let mut r = Synthetic::new("A long run\n\nMany branches.");
    let mut branch = 0;
    let mut starts: Vec<(u32, u32)> = Vec::new();
    r.branch(0, None, "first trajectory");
    let mut left_on_branch = 22;
    for at in 0..n_steps {
        let signal = r.uniform().powi(3) * 3.6;
        let wrong = left_on_branch == 1;
        let siblings: &[&str] = if signal >= THRESHOLD_NATS {
            &[EDIT_WRONG, VIEW]
        } else {
            &[]
        };
        let id = r.step(Step {
            branch,
            depth: at,
            tool: if signal > 1.0 { "edit" } else { "view" },
            text: if signal > 1.0 { EDIT } else { VIEW },
            signal_nats: signal,
            outcome: if wrong {
                StepOutcome::TestsFailed
            } else {
                StepOutcome::Ok
            },
            observation: SOURCE,
            siblings,
        });
        starts.push((branch, id));
        left_on_branch -= 1;
        if left_on_branch == 0 && at + 1 < n_steps {
            r.end_branch(branch, BranchStatus::Abandoned, "", 0.4);
            let pick = (r.uniform() * starts.len() as f32) as usize;
            branch += 1;
            r.branch(branch, Some(starts[pick]), "back to an uncertain step");
            left_on_branch = 4 + (r.uniform() * 20.0) as u32;
        }
    }
    r.end_branch(branch, BranchStatus::Submitted, PATCH, 0.9);
    r.push(Event::Selected(Selected {
        usage: UsageByPurpose::default(),
        branch: Some(BranchId(branch)),
        reason: "the only branch with a patch".into(),
        ranking: Vec::new(),
    }));
    r.end_run(PATCH);
    r
}
