//! A model that nobody calibrated: the run's own steps gate it.
use super::*;
use egss::record::read_record;
use egss::search::resume;
use std::process::Command;

/// Steps that get surer one by one, then one at which two files are as likely.
const N_SURE: usize = 7;

fn say(text: &str) -> Vec<(String, f64)> {
    let is_done = |at: &usize| {
        let has = |name: &str| text.contains(&format!("\"path\": \"{name}{at}.py\""));
        has("a") || has("b")
    };
    let at = (0..).find(|at| !is_done(at)).expect("some file is missing");
    let first = match at {
        _ if at > N_SURE => return vec![(SUBMIT.into(), 1.0)],
        N_SURE => 0.5,
        _ => 0.9 + 0.01 * at as f64,
    };
    let names = [format!("a{at}"), format!("b{at}")];
    let [a, b] = names.map(|name| write(&name));
    vec![(a, first), (b, 1.0 - first)]
}

type Say = fn(&str) -> Vec<(String, f64)>;

/// How each branch ended, with its trajectory score.
fn ends(state: &RunState) -> Vec<(BranchStatus, Option<f32>)> {
    let ended = state.branches.iter().map(|branch| branch.ended.as_ref());
    ended
        .map(|e| e.map(|e| (e.status, e.score)).unwrap())
        .collect()
}

/// Everything of a decision that a reader is told, by branch and depth.
fn decisions(state: &RunState) -> Vec<(u32, u32, egss::base::BranchDecision, String)> {
    let of = |step: &StepFinished| {
        let taken = step.candidates[step.chosen].canonical.clone();
        (step.branch.0, step.depth, step.decision.clone(), taken)
    };
    let mut all: Vec<_> = state.steps.iter().map(of).collect();
    all.sort_by_key(|decision| (decision.0, decision.1));
    all
}

fn whole(strategy: &Strategy, say: Say, run_dir: &Path) -> RunState {
    let (mut engine, budget) = (engine(say), Budget::default());
    let others = Others::default();
    asked(
        &mut engine,
        others,
        strategy,
        None,
        budget,
        |request, tools| solve(run_dir, request, tools).unwrap(),
    )
}

/// Kills a finished run after every `nth` step or branch that began or ended, in the midst
/// of a round if there are several branches, goes on, and holds the decisions and the ends
/// of branches against those of the whole run. Returns how many times it was killed.
fn resumes_alike(strategy: &Strategy, say: Say, nth: usize) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let state = whole(strategy, say, dir.path());
    let record = std::fs::read_to_string(dir.path().join("record.jsonl")).unwrap();
    let lines: Vec<&str> = record.split_inclusive('\n').collect();
    let is_of_search = |line: &str| {
        ["step_finished", "branch_started", "branch_ended"]
            .iter()
            .any(|event| line.contains(&format!("\"event\":\"{event}\"")))
    };
    let kills: Vec<usize> = (1..=lines.len())
        .filter(|&kept| is_of_search(lines[kept - 1]))
        .step_by(nth)
        .collect();
    for &kept in &kills {
        let killed = tempfile::tempdir().unwrap();
        let shadow = dir.path().join("shadow.git");
        let mut copy = Command::new("cp");
        copy.arg("-R").arg(shadow).arg(killed.path());
        assert!(copy.status().unwrap().success());
        std::fs::write(killed.path().join("record.jsonl"), lines[..kept].concat()).unwrap();
        let (mut engine, budget) = (engine(say), Budget::default());
        let others = Others::default();
        let resumed = asked(&mut engine, others, strategy, None, budget, |_, tools| {
            resume(killed.path(), tools).unwrap()
        });
        assert_eq!(
            decisions(&resumed),
            decisions(&state),
            "killed after {kept}"
        );
        assert_eq!(ends(&resumed), ends(&state), "killed after {kept}");
    }
    kills.len()
}

#[test]
fn an_uncalibrated_model_branches_by_its_running_gate_and_the_record_says_why() {
    let dir = tempfile::tempdir().unwrap();
    whole(
        &strategy_named("egss", 1, 2, &AgentProfile::small()).unwrap(),
        say,
        dir.path(),
    );
    let state = RunState::of_record(&read_record(&dir.path().join("record.jsonl")).unwrap().0);
    assert_eq!(state.start.gate, None);
    let decisions: Vec<_> = state.path(BranchId(0)).map(|step| &step.decision).collect();
    for (n, decision) in decisions[..5].iter().enumerate() {
        assert!(!decision.branch && decision.threshold_nats.is_none());
        assert!(decision.reason.starts_with("the gate is not open yet: "));
        assert_eq!(decision.gate.unwrap().n_steps, n);
    }
    for decision in &decisions[5..N_SURE] {
        assert!(!decision.branch, "{}", decision.reason);
    }
    let sixth = decisions[5];
    assert!(close(sixth.threshold_nats.unwrap(), entropy(&[0.9, 0.1])));
    let last = decisions[N_SURE];
    assert!(last.branch && last.candidates == 2, "{}", last.reason);
    // Of seven steps the 0.8 quantile is the second highest.
    assert!(close(last.threshold_nats.unwrap(), entropy(&[0.91, 0.09])));
    assert_eq!(
        last.reason,
        "args_max 0.69 >= 0.30 nats, the 0.80 quantile of 7 steps of this run"
    );
    assert_eq!(state.step(StepId(7)).candidates.len(), 2);
    // Branches are compared by the signal that gated them.
    let ended = state.branch(BranchId(0)).ended.as_ref().unwrap();
    assert!(ended.entropy_mean_nats.is_some());

    egss::report::write_report(dir.path()).unwrap();
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    let (page, short) = (read("report.html"), read("report.md"));
    for said in [
        "the 0.80 quantile so far",
        "0.33 nats when it opened, 0.33 over 8 steps at the end",
        "running gate at the end, 0.33",
        "1 of 3 at or above the run's own gate as it stood, which went from 0.33 to 0.33",
        "the 0.80 quantile of 7 steps of this run",
    ] {
        assert!(page.replace("&#39;", "'").contains(said), "{said}");
    }
    assert!(short.contains("| gate | largest argument entropy at the 0.80 quantile so far"));
    let json = egss::report::json(&egss::report::write_report(dir.path()).unwrap().view);
    assert_eq!(json["gate"], serde_json::Value::Null);
    assert_eq!(json["running_gate"]["signal"], "args_max");
}

#[test]
fn a_run_that_was_killed_decides_by_the_same_steps() {
    let strategy = strategy_named("egss", 1, 2, &AgentProfile::small()).unwrap();
    assert!(resumes_alike(&strategy, say, 3) >= 4);
}

#[test]
fn a_run_that_was_killed_within_a_round_decides_by_the_same_steps() {
    // Two branches side by side, the second of which draws.
    let strategy = Strategy {
        at_once: true,
        n: 2,
        recovery: egss::base::Recovery::Append,
        stop: StopRule::NEVER,
        ..strategy_named("egss", 2, 2, &AgentProfile::small()).unwrap()
    };
    let dir = tempfile::tempdir().unwrap();
    let state = whole(&strategy, say, dir.path());
    assert_eq!(state.branches.len(), 2);
    // Both steps of a round count the same steps before them.
    let n_steps = |branch| {
        let path = state.path(BranchId(branch));
        let counted = path.map(|step| step.decision.gate.unwrap().n_steps);
        counted.take(N_SURE).collect::<Vec<_>>()
    };
    assert_eq!(n_steps(0), [0, 2, 4, 6, 8, 10, 12]);
    assert_eq!(n_steps(0), n_steps(1));
    assert!(resumes_alike(&strategy, say, 3) >= 4);
}

/// As in the [`garden`], but what the first branch leaves in its second round, a3, is
/// better than the second branch, which is pruned for it.
fn orchard(text: &str) -> Vec<(String, f64)> {
    let wrote = |name: &str| text.contains(&format!("\"path\": \"{name}.py\""));
    if !text.contains("You are now the reviewer") {
        return garden(text);
    }
    let digits = [
        ("b3", 0),
        ("b2", 1),
        ("a3", 1),
        ("a2", 2),
        ("b1", 1),
        ("a1", 2),
    ];
    let last = digits.iter().find(|(name, _)| wrote(name)).unwrap();
    rate(last.1)
}

#[test]
fn a_beam_that_was_killed_within_a_round_keeps_the_same_branches() {
    let strategy = garden_strategy(2);
    let dir = tempfile::tempdir().unwrap();
    let state = whole(&strategy, orchard, dir.path());
    let pruned: Vec<bool> = ends(&state)
        .iter()
        .map(|(status, _)| *status == BranchStatus::Pruned)
        .collect();
    assert_eq!(pruned, [false, true, false]);
    assert!(resumes_alike(&strategy, orchard, 1) >= 9);
}
