//! The controller from issue to patch with a scripted engine whose distribution
//! is known, and real workspaces, sandboxes and tests.
mod old_records;

use egss::agent::ChatMl;
use egss::base::{AgentProfile, Budget, Deadline, Gates, Purpose, SeqId, Strategy, UsageByPurpose};
use egss::engine::scripted::ScriptedEngine;
use egss::engine::{
    Engine, EngineError, Finish, GenerateJob, Generated, PrefixCache, Progress, ScoreJob,
    Vocabulary,
};
use egss::record::{BranchStatus, Event, StepOutcome, read_record};
use egss::search::{
    NoWatcher, Others, RunState, STRATEGY_NAMES, SolveRequest, Tools, resume, solve, strategy_named,
};
use egss::verify::OwnTests;
use egss::workspace::{Sandbox, SandboxMode};
use std::path::Path;
use std::process::Command;

const ISSUE: &str =
    "`total` in the cart adds too much. This should hold:\n\n    assert total([1, 2]) == 3\n";
const CART: &str =
    "def total(xs):\n    return sum(xs) + 1\n\n\ndef mean(xs):\n    return total(xs) / len(xs)\n";

fn edit(body: &str) -> String {
    format!(
        "<tool_call>\n{{\"name\": \"edit\", \"arguments\": {{\"path\": \"cart.py\", \"symbol\": \"total\"}}}}\n</tool_call>\n```python\ndef total(xs):\n    return {body}\n```"
    )
}

/// Always unsure in the same way: the wrong edit is likelier than the right one.
fn engine() -> ScriptedEngine {
    let said = vec![(edit("sum(xs) - 1"), 0.6), (edit("sum(xs)"), 0.4)];
    ScriptedEngine::from_policy(move |_| said.clone()).with_context_max(100_000)
}

fn sandbox() -> Sandbox {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    assert!(
        python.exists(),
        "no .venv/bin/python: run scripts/setup, which makes it with pytest"
    );
    Sandbox::new(SandboxMode::Bubblewrap, &python).unwrap()
}

fn tools<'a>(engine: &'a mut dyn Engine, dialect: &'a ChatMl, sandbox: &'a Sandbox) -> Tools<'a> {
    Tools {
        engine,
        others: Others::default(),
        dialect,
        sandbox,
        watcher: &NoWatcher,
        began: std::time::Instant::now(),
    }
}

/// Runs a strategy on the cart in `run_dir`.
fn run(strategy: &str, budget: Budget, run_dir: &Path) -> (RunState, ScriptedEngine) {
    let mut engine = engine();
    let state = run_on(&mut engine, strategy, budget, run_dir);
    (state, engine)
}

fn run_on(engine: &mut dyn Engine, strategy: &str, budget: Budget, run_dir: &Path) -> RunState {
    let strategy = strategy_named(strategy, 4, 4, &AgentProfile::small()).unwrap();
    run_strategy(engine, &strategy, budget, run_dir)
}

fn run_strategy(
    engine: &mut dyn Engine,
    strategy: &Strategy,
    budget: Budget,
    run_dir: &Path,
) -> RunState {
    let repo = tempfile::tempdir().unwrap();
    std::fs::write(repo.path().join("cart.py"), CART).unwrap();
    let request = SolveRequest {
        repo: repo.path(),
        issue: ISSUE,
        model: "scripted",
        device: "cpu",
        strategy,
        seed: 1,
        budget,
        gates: Gates::default(),
        profile: &AgentProfile::small(),
        own_tests: OwnTests::default(),
        environment: None,
        index_dir: None,
    };
    let (dialect, sandbox) = (ChatMl::default(), sandbox());
    let state = solve(run_dir, &request, tools(engine, &dialect, &sandbox)).unwrap();
    assert_eq!(
        std::fs::read_to_string(repo.path().join("cart.py")).unwrap(),
        CART
    );
    state
}

fn statuses(state: &RunState) -> Vec<BranchStatus> {
    let ended = state.branches.iter().map(|b| b.ended.as_ref().unwrap());
    ended.map(|ended| ended.status).collect()
}

fn selected_patch(run_dir: &Path) -> String {
    let (lines, _) = read_record(&run_dir.join("record.jsonl")).unwrap();
    match lines.into_iter().last().unwrap().event {
        Event::RunEnded(ended) => ended.patch,
        other => panic!("the record ends with {other:?}"),
    }
}

#[test]
fn a_failed_edit_is_left_behind_and_a_sibling_solves_the_issue() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = run("egss", Budget::default(), dir.path());
    assert_eq!(
        state.step(egss::base::StepId(0)).outcome,
        StepOutcome::TestsFailed
    );
    assert_eq!(
        state
            .branch(egss::base::BranchId(0))
            .ended
            .as_ref()
            .unwrap()
            .status,
        BranchStatus::Abandoned
    );
    // The branch that solves it has left the wrong turn out of its history.
    let winner = state.selected.as_ref().unwrap().branch.unwrap();
    assert_eq!(state.path(winner).count(), 1);
    let patch = selected_patch(dir.path());
    assert!(
        patch.contains("-    return sum(xs) + 1\n+    return sum(xs)\n"),
        "{patch}"
    );
    let repo = tempfile::tempdir().unwrap();
    std::fs::write(repo.path().join("cart.py"), CART).unwrap();
    std::fs::write(repo.path().join("p.diff"), &patch).unwrap();
    let applied = Command::new("git")
        .args(["apply", "p.diff"])
        .current_dir(repo.path())
        .status()
        .unwrap();
    assert!(applied.success());
}

#[test]
fn each_strategy_records_what_it_spent_and_its_record_replays_into_one_report() {
    for strategy in STRATEGY_NAMES {
        let dir = tempfile::tempdir().unwrap();
        let (state, engine) = run(strategy, Budget::default(), dir.path());
        assert_eq!(state.usage, engine.usage(), "{strategy}");
        // What the record holds is all that the report is made of.
        let page = || {
            egss::report::write_report(dir.path()).unwrap();
            std::fs::read_to_string(dir.path().join("report.html")).unwrap()
        };
        let first = page();
        assert!(first.contains(strategy) && first == page(), "{strategy}");
    }
}

#[test]
fn a_naive_best_of_n_computes_the_prompt_for_each_trajectory() {
    let spent = |strategy: &str| {
        let dir = tempfile::tempdir().unwrap();
        let (state, _) = run(strategy, Budget::default(), dir.path());
        (
            state.usage.agent.computed_tokens,
            state.start.prompt_tokens.len() as u64,
        )
    };
    let ((naive, prompt), (shared, _)) = (spent("best-of-3-naive"), spent("best-of-3"));
    // Where branches do the same, the prefix cache spares the others what they
    // see, too.
    assert!(naive - shared >= 2 * prompt, "{naive} {shared} {prompt}");
}

#[test]
fn a_run_that_was_killed_after_any_event_ends_alike_and_repeats_no_step() {
    let whole = tempfile::tempdir().unwrap();
    let (state, _) = run("egss", Budget::default(), whole.path());
    let record = std::fs::read_to_string(whole.path().join("record.jsonl")).unwrap();
    let lines: Vec<&str> = record.split_inclusive('\n').collect();
    for kept in 1..lines.len() {
        let dir = tempfile::tempdir().unwrap();
        let copied = Command::new("cp")
            .args([
                "-R",
                whole.path().join("shadow.git").to_str().unwrap(),
                dir.path().to_str().unwrap(),
            ])
            .status();
        assert!(copied.unwrap().success());
        // A line that the kill cut short, too.
        let half = &lines[kept][..lines[kept].len() / 2];
        std::fs::write(
            dir.path().join("record.jsonl"),
            lines[..kept].concat() + half,
        )
        .unwrap();
        let (mut engine, dialect, sandbox) = (engine(), ChatMl::default(), sandbox());
        let resumed = resume(dir.path(), tools(&mut engine, &dialect, &sandbox)).unwrap();
        assert_eq!(
            selected_patch(dir.path()),
            selected_patch(whole.path()),
            "killed after {kept} events"
        );
        let taken = |state: &RunState| -> Vec<String> {
            state
                .steps
                .iter()
                .map(|s| s.candidates[s.chosen].canonical.clone())
                .collect()
        };
        assert_eq!(taken(&resumed), taken(&state), "killed after {kept} events");
        let again = std::fs::read_to_string(dir.path().join("record.jsonl")).unwrap();
        assert!(
            again.starts_with(&lines[..kept].concat()),
            "killed after {kept} events"
        );
    }
}

#[test]
fn a_beam_leaves_no_branch_open_when_a_patch_passes() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = engine();
    let mut strategy = strategy_named("branch-always", 4, 4, &AgentProfile::small()).unwrap();
    strategy.beam = 3;
    strategy.judge = egss::base::JudgeSettings::default();
    let state = run_strategy(&mut engine, &strategy, Budget::default(), dir.path());
    assert!(state.has_passed());
    assert!(state.living().is_empty(), "{:?}", statuses(&state));
    assert!(selected_patch(dir.path()).contains("+    return sum(xs)\n"));
}

#[test]
fn a_budget_that_runs_out_ends_branches_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let budget = Budget {
        tokens_max: 1,
        ..Budget::default()
    };
    let (state, _) = run("single", budget, dir.path());
    assert!(state.ended.is_some());
    let statuses: Vec<BranchStatus> = state
        .branches
        .iter()
        .map(|b| b.ended.as_ref().unwrap().status)
        .collect();
    assert_eq!(statuses, [BranchStatus::TokensSpent]);
}

#[test]
fn a_model_that_never_calls_a_tool_ends_its_branch_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let said = vec![("The code looks right to me.".to_string(), 1.0)];
    let mut engine = ScriptedEngine::from_policy(move |_| said.clone()).with_context_max(100_000);
    let state = run_on(&mut engine, "single", Budget::default(), dir.path());
    assert_eq!(statuses(&state), [BranchStatus::NoToolCall]);
    assert_eq!(selected_patch(dir.path()), "");
}

#[test]
fn a_context_that_fills_ends_its_branch_by_name() {
    let dir = tempfile::tempdir().unwrap();
    // Room for the prompt and the first edit, not for what comes of it.
    let (state, _) = run("single", Budget::default(), dir.path());
    let prompt = state.start.prompt_tokens.len();
    let room = 2 * prompt;
    let long = "+ 0".repeat((room - prompt - edit("sum(xs) - 1").len() - 50) / 3);
    let said = vec![(edit(&format!("sum(xs) - 1 {long}")), 1.0)];
    let dir = tempfile::tempdir().unwrap();
    let mut engine = ScriptedEngine::from_policy(move |_| said.clone()).with_context_max(room);
    let budget = Budget {
        action_tokens_max: room,
        ..Budget::default()
    };
    let state = run_on(&mut engine, "single", budget, dir.path());
    assert_eq!(statuses(&state), [BranchStatus::ContextFull]);
    assert!(selected_patch(dir.path()).contains("sum(xs) - 1 + 0"));
}

/// An engine whose KV pool is full at some of its generations.
struct Cramped {
    inner: ScriptedEngine,
    n_generated: usize,
    is_full: fn(usize) -> bool,
}

impl Cramped {
    fn new(is_full: fn(usize) -> bool) -> Self {
        Self {
            inner: engine(),
            n_generated: 0,
            is_full,
        }
    }
}

impl Engine for Cramped {
    fn vocabulary(&self) -> &dyn Vocabulary {
        self.inner.vocabulary()
    }
    fn context_max(&self) -> usize {
        self.inner.context_max()
    }
    fn new_sequence(&mut self, prefix: PrefixCache) -> SeqId {
        self.inner.new_sequence(prefix)
    }
    fn tokens(&self, seq: SeqId) -> &[u32] {
        self.inner.tokens(seq)
    }
    fn append(&mut self, seq: SeqId, tokens: &[u32], purpose: Purpose) -> Result<(), EngineError> {
        self.inner.append(seq, tokens, purpose)
    }
    fn fork(&mut self, seq: SeqId, len: usize, purpose: Purpose) -> SeqId {
        self.inner.fork(seq, len, purpose)
    }
    fn release(&mut self, seq: SeqId) {
        self.inner.release(seq);
    }
    fn new_bill(&mut self) {
        self.inner.new_bill();
    }

    fn forget_prefixes(&mut self) {
        self.inner.forget_prefixes();
    }
    fn set_deadline(&mut self, deadline: Deadline) {
        self.inner.set_deadline(deadline);
    }
    fn living(&self) -> Vec<SeqId> {
        self.inner.living()
    }
    fn compute(
        &mut self,
        seqs: &[SeqId],
        purpose: Purpose,
        on_step: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), EngineError> {
        self.inner.compute(seqs, purpose, on_step)
    }
    fn generate(
        &mut self,
        jobs: &[GenerateJob],
        on_step: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Vec<Generated>, EngineError> {
        self.n_generated += 1;
        let generated = self.inner.generate(jobs, on_step)?;
        if !(self.is_full)(self.n_generated) {
            return Ok(generated);
        }
        // Either way of an engine to say so.
        if self.n_generated.is_multiple_of(2) {
            return Err(EngineError::KvPoolFull { blocks: 1 });
        }
        let cut = |generated| Generated {
            finish: Finish::KvPoolFull,
            ..generated
        };
        Ok(generated.into_iter().map(cut).collect())
    }
    fn score(&mut self, jobs: &[ScoreJob]) -> Result<Vec<Vec<Vec<f32>>>, EngineError> {
        self.inner.score(jobs)
    }
    fn usage(&self) -> UsageByPurpose {
        self.inner.usage()
    }
}

#[test]
fn a_pool_that_is_full_is_emptied_and_the_run_goes_on_as_it_would_have() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = run("egss", Budget::default(), dir.path());
    let cramped_dir = tempfile::tempdir().unwrap();
    let mut engine = Cramped::new(|n| n == 1 || n == 4);
    let cramped = run_on(&mut engine, "egss", Budget::default(), cramped_dir.path());
    assert!(engine.n_generated > 4);
    assert_eq!(statuses(&cramped), statuses(&state));
    assert_eq!(
        selected_patch(cramped_dir.path()),
        selected_patch(dir.path())
    );
    assert_eq!(cramped.usage, engine.usage());
    assert_eq!(engine.living(), [], "nothing is held when a run has ended");
}

#[test]
fn a_pool_too_small_for_a_step_ends_its_branch_by_name() {
    for strategy in ["single", "egss"] {
        let dir = tempfile::tempdir().unwrap();
        let mut engine = Cramped::new(|_| true);
        let state = run_on(&mut engine, strategy, Budget::default(), dir.path());
        assert_eq!(statuses(&state), [BranchStatus::KvPoolFull], "{strategy}");
        assert_eq!(selected_patch(dir.path()), "");
    }
}

#[test]
fn as_long_as_no_patch_passes_the_whole_budget_of_branches_is_used() {
    let dir = tempfile::tempdir().unwrap();
    // More than the budget lets it carry out.
    let letters = (b'a'..=b'z').flat_map(|c| ["-", "+"].map(|sign| (sign, c as char)));
    let wrong = letters.map(|(sign, c)| (edit(&format!("sum(xs) {sign} {c}")), 1.0 / 52.0));
    let said: Vec<_> = wrong.collect();
    let mut engine = ScriptedEngine::from_policy(move |_| said.clone()).with_context_max(100_000);
    let budget = Budget {
        branches_max: 12,
        ..Budget::default()
    };
    // A point's two candidates have four tries each before every other point's.
    let strategy = strategy_named("egss", 4, 2, &AgentProfile::small()).unwrap();
    let state = run_strategy(&mut engine, &strategy, budget, dir.path());
    assert!(!state.has_passed());
    assert_eq!(state.branches.len(), 12);
}

#[test]
fn an_example_that_no_patch_passes_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let said = vec![(edit("sum(xs) - 1"), 0.7), (edit("sum(xs) + 2"), 0.3)];
    let mut engine = ScriptedEngine::from_policy(move |_| said.clone()).with_context_max(100_000);
    run_on(&mut engine, "egss", Budget::default(), dir.path());
    let unmet = |run_dir: &Path| -> Vec<String> {
        let view = egss::report::write_report(run_dir).unwrap().view;
        view.unmet().into_iter().map(str::to_owned).collect()
    };
    let told = unmet(dir.path());
    assert!(
        told.len() == 1 && told[0].contains("test_issue_stated"),
        "{told:?}"
    );
    let text = std::fs::read_to_string(dir.path().join("report.md")).unwrap();
    assert!(
        text.contains("1 example of the issue still fails"),
        "{text}"
    );
    let solved = tempfile::tempdir().unwrap();
    run("egss", Budget::default(), solved.path());
    assert!(unmet(solved.path()).is_empty());
}
