//! `egss calibrate` on runs that an evaluation left: what becomes a sample, the program
//! from end to end without a model, and its page.
#[path = "calibrate/own_runs.rs"]
mod own_runs;

use egss::base::{
    ActionEntropy, AgentProfile, BranchDecision, BranchId, Budget, Gate, GateSignal, RngKey,
    StepId, TokenEntropy, UsageByPurpose,
};
use egss::checkpoint::{DEFAULT_MODEL, find_manifest};
use egss::eval::calibration::{
    Outcomes, Score, TaskSamples, add_run, known_outcomes, trajectories,
};
use egss::record::{
    BranchEnded, BranchStarted, BranchStatus, Candidate, Checkout, Event, ForkPoint, RECORD_FILE,
    RECORD_VERSION, RecordLine, RunStarted, Selected, StepFinished, StepOutcome,
};
use egss::search::{RunState, strategy_named};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const STRATEGY: &str = "best-of-4";
const ARGS_MAX: Score = Score::Signal(GateSignal::ArgsMax);

fn start(gate: Option<Gate>) -> RunStarted {
    RunStarted {
        record_version: RECORD_VERSION,
        egss_version: "0.1.0".into(),
        model: DEFAULT_MODEL.into(),
        device: "cpu".into(),
        strategy: strategy_named(STRATEGY, 4, 4, &AgentProfile::small()).unwrap(),
        seed: 0,
        ctx_tokens: 8_192,
        budget: Budget::default(),
        gate,
        repo: "demo".into(),
        checkout: Checkout::default(),
        python: None,
        issue: "It fails.".into(),
        test_cmd: None,
        junit: None,
        profile: AgentProfile::small(),
        locations: Vec::new(),
        cuts: Vec::new(),
        tools: Vec::new(),
        environment: None,
        base_tree: "base".into(),
        prompt_text: String::new(),
        prompt_tokens: Vec::new(),
        started_at_s: 1_795_817_380,
    }
}

/// An action of three tokens: one forced, one syntax, and one of these nats.
fn candidate(nats: f32) -> Candidate {
    let token = |entropy_nats, forced| TokenEntropy {
        token: 0,
        logprob: -0.1,
        entropy_nats,
        varentropy: 0.0,
        top1_prob: 0.9,
        margin: 0.8,
        masked_entropy_nats: None,
        forced,
    };
    Candidate {
        text: "{\" return value".into(),
        tokens: vec![token(3.0, true), token(0.5, false), token(nats, false)],
        pieces: ["{\"", " return", " value"].map(str::to_owned).to_vec(),
        tool: Some("edit".into()),
        canonical: format!("{nats}"),
        entropy: ActionEntropy {
            args_mean_nats: Some((nats + 0.5) / 2.0),
            args_max_nats: Some(nats),
            n_free_tokens: 2,
            n_tokens: 3,
            ..ActionEntropy::default()
        },
        judge: None,
        merged: 1,
        forked_at: 0,
        temperature: 0.8,
        tried: None,
    }
}

fn branch(branch: u32, from: Option<(u32, u32)>) -> Event {
    Event::BranchStarted(BranchStarted {
        branch: BranchId(branch),
        forked_from: from.map(|(branch, step)| ForkPoint {
            branch: BranchId(branch),
            step: StepId(step),
        }),
        reason: "for a test".into(),
    })
}

/// A step whose candidates have these nats; the last is taken.
fn step(step: u32, branch: u32, nats: &[f32]) -> Event {
    Event::StepFinished(StepFinished {
        step: StepId(step),
        branch: BranchId(branch),
        depth: 0,
        candidates: nats.iter().map(|&nats| candidate(nats)).collect(),
        chosen: nats.len() - 1,
        decision: BranchDecision {
            branch: nats.len() > 1,
            candidates: nats.len(),
            signal_nats: None,
            threshold_nats: None,
            gate: None,
            reason: "for a test".into(),
        },
        outcome: StepOutcome::Ok,
        cuts: Vec::new(),
        observation: String::new(),
        observation_tokens: Vec::new(),
        tree: "tree".into(),
        usage: UsageByPurpose::default(),
    })
}

fn ended(branch: u32, status: BranchStatus, patch: &str) -> Event {
    Event::BranchEnded(BranchEnded {
        branch: BranchId(branch),
        status,
        patch: patch.into(),
        ignored: Vec::new(),
        parts: Vec::new(),
        score: None,
        entropy_mean_nats: None,
        code: None,
        usage: UsageByPurpose::default(),
    })
}

fn selected(branch: Option<u32>) -> Event {
    Event::Selected(Selected {
        branch: branch.map(BranchId),
        reason: "for a test".into(),
        ranking: Vec::new(),
        usage: UsageByPurpose::default(),
    })
}

fn folded(events: &[Event]) -> RunState {
    let mut state = RunState::new(start(None));
    events.iter().for_each(|event| state.apply(event));
    state
}

/// A row of `results.jsonl`: the first patch was selected; each with whether it is right.
fn row(task: &str, patches: &[(u32, &str, bool)]) -> Value {
    let candidate = |&(branch, patch, right): &(u32, &str, bool)| {
        json!({
            "branch": branch,
            "patch": patch,
            "score": null,
            "pass_rate": null,
            "written_rate": null,
            "entropy_mean_nats": null,
            "fault": null,
            "right": right,
            "repository_pass_rate": null,
            "votes": [],
        })
    };
    json!({
        "instance_id": task,
        "strategy": STRATEGY,
        "seed": 0,
        "settings": "00c0ffee",
        "resolved": patches[0].2,
        "oracle": patches.iter().any(|patch| patch.2),
        "selected": patches[0].0,
        "candidates": patches.iter().map(candidate).collect::<Vec<_>>(),
        "n_trajectories": 4,
        "n_branches": 4,
        "n_steps": 8,
        "usage": UsageByPurpose::default(),
        "wall_ms": 1,
    })
}

#[test]
fn a_step_counts_once_and_by_the_best_that_came_of_it() {
    use BranchStatus::{Abandoned, Submitted};
    let state = folded(&[
        branch(0, None),
        step(0, 0, &[0.5]),
        step(1, 0, &[2.0, 1.0]),
        ended(0, Submitted, "wrong"),
        // Shares step 0 and does step 1 again.
        branch(1, Some((0, 1))),
        step(2, 1, &[0.25]),
        step(3, 1, &[0.125]),
        ended(1, Submitted, "right"),
        branch(2, None),
        step(4, 2, &[4.0]),
        ended(2, Abandoned, "left"),
    ]);
    let mut task = TaskSamples::default();
    let outcomes = Outcomes::from([(BranchId(0), false), (BranchId(1), true)]);
    add_run(&mut task, &state, &outcomes);
    let resolved: Vec<_> = task.steps.iter().map(|s| s.resolved).collect();
    assert_eq!(
        resolved,
        [Some(true), Some(false), Some(true), Some(true), None]
    );
    let of = |score| -> Vec<_> {
        let first = |s: &egss::eval::calibration::StepSample| s.first.as_ref()?.score(score);
        task.steps.iter().map(first).collect()
    };
    // A gate looks at what was decoded first, and not where a step is done again.
    assert_eq!(
        of(ARGS_MAX),
        [Some(0.5), Some(2.0), None, Some(0.125), Some(4.0)]
    );
    assert_eq!(of(Score::ContentMean), of(ARGS_MAX));
    assert_eq!(of(Score::SyntaxShare)[0], Some(0.5));
    assert_eq!(of(GateSignal::Vote.into()), [None; 5]);
    assert_eq!(task.steps[1].taken.score(ARGS_MAX), Some(1.0));
    let paths: Vec<_> = (task.trajectories.iter())
        .map(|t| {
            let nats = t.actions.iter().map(|a| a.score(ARGS_MAX).unwrap());
            (t.resolved, nats.collect::<Vec<_>>())
        })
        .collect();
    assert_eq!(
        paths,
        [(false, vec![0.5, 1.0]), (true, vec![0.5, 0.25, 0.125])]
    );
    use egss::eval::calibration::Level::{TrajectoryLast, TrajectoryMax, TrajectoryMean};
    let score = |level, score| task.trajectories[1].score(level, score).unwrap();
    assert_eq!(score(TrajectoryMax, ARGS_MAX), 0.5);
    assert_eq!(score(TrajectoryLast, ARGS_MAX), 0.125);
    assert!((score(TrajectoryMean, ARGS_MAX) - 0.875 / 3.0).abs() < 1e-12);
    assert_eq!(score(TrajectoryMean, Score::Length), 9.0);
}

#[test]
fn what_a_row_does_not_tell_of_a_patch_is_left_to_the_judge() {
    use BranchStatus::{Abandoned, StepsSpent, Submitted};
    let state = folded(&[
        branch(0, None),
        branch(1, None),
        branch(2, None),
        branch(3, None),
        branch(4, None),
        ended(0, Submitted, "same"),
        ended(1, StepsSpent, ""),
        ended(2, Submitted, "other"),
        ended(3, Submitted, "same"),
        ended(4, Abandoned, "other"),
        selected(Some(0)),
    ]);
    assert_eq!(trajectories(&state).count(), 4);
    let outcomes = |right| {
        let row = serde_json::from_value(row("a", &[(0, "same", right)])).unwrap();
        let known: BTreeMap<u32, bool> = (known_outcomes(&row, &state).into_iter())
            .map(|(branch, resolved)| (branch.0, resolved))
            .collect();
        known.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(outcomes(true), [(0, true), (1, false), (3, true)]);
    assert_eq!(outcomes(false), [(0, false), (1, false), (3, false)]);
}

/// What `egss eval` leaves of some tasks: of four trajectories two pass, those whose
/// entropy is low if `tells`.
struct Evaluation {
    dir: tempfile::TempDir,
}

impl Evaluation {
    fn new(n_tasks: u64, tells: bool) -> Self {
        let made = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        let gate = find_manifest(DEFAULT_MODEL).unwrap().gates.first().cloned();
        let (mut tasks, mut rows) = (String::new(), String::new());
        for t in 0..n_tasks {
            let name = format!("task__{t}");
            let uniform = |step| RngKey::from_seed(4).split(t).split(step).uniform() as f32;
            let mut events: Vec<Event> = (0..4).map(|b| branch(b, None)).collect();
            for at in 0..8u32 {
                let fails = at % 4 >= 2;
                let nats = uniform(at.into()) + if tells && fails { 1.0 } else { 0.0 };
                events.push(step(at, at % 4, &[nats]));
            }
            let patch = |b| if b < 2 { "right" } else { "" };
            events.extend((0..4).map(|b| ended(b, BranchStatus::Submitted, patch(b))));
            events.push(selected(Some(0)));
            let run = made
                .out()
                .join(format!("runs/{name}-{STRATEGY}-seed0-00c0ffee"));
            std::fs::create_dir_all(&run).unwrap();
            let events = std::iter::once(Event::RunStarted(start(gate.clone()))).chain(events);
            let lines = events.map(|event| {
                line(&RecordLine {
                    elapsed_ms: 0,
                    event,
                })
            });
            std::fs::write(run.join(RECORD_FILE), lines.collect::<String>()).unwrap();
            rows += &line(&row(&name, &[(0, "right", true), (1, "right", true)]));
            tasks += &line(&json!({
                "instance_id": name, "repo": "demo", "problem_statement": "It fails.",
                "files": {"a.py": ""}, "patch": "", "test_patch": "",
                "FAIL_TO_PASS": ["t.py::t"], "PASS_TO_PASS": [],
            }));
        }
        std::fs::write(made.out().join("results.jsonl"), rows).unwrap();
        std::fs::write(made.tasks(), tasks).unwrap();
        made
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("eval")
    }

    fn tasks(&self) -> PathBuf {
        self.dir.path().join("mine.jsonl")
    }

    /// The program where no model is there, with a configuration of its own.
    fn egss(&self, arguments: &[&str]) -> std::process::Output {
        let mut egss = assert_cmd::Command::cargo_bin("egss").unwrap();
        egss.env("EGSS_MODELS_DIR", self.dir.path().join("no-models"))
            .env("XDG_CONFIG_HOME", self.dir.path().join("config"))
            .args(arguments)
            .output()
            .unwrap()
    }

    fn calibrate(&self, arguments: &[&str]) -> std::process::Output {
        let (tasks, out) = (self.tasks(), self.out());
        let mut all = vec!["calibrate", "--tasks", tasks.to_str().unwrap()];
        all.extend(["--out", out.to_str().unwrap()]);
        all.extend(arguments);
        self.egss(&all)
    }

    fn json(&self) -> Value {
        let text = std::fs::read(self.out().join("calibration.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    }
}

fn line(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap() + "\n"
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[track_caller]
fn refused(output: &std::process::Output, says: &str) {
    assert!(!output.status.success());
    let error = text(&output.stderr);
    let last = error.lines().last().unwrap_or_default();
    assert!(last.starts_with("egss: ") && last.contains(says), "{error}");
}

#[test]
fn the_next_run_of_the_same_model_uses_the_gate_that_was_kept() {
    let made = Evaluation::new(12, true);
    let output = made.calibrate(&["--quantile", "0.75"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("12 of 12 runs are in "));
    let table = text(&output.stdout);
    assert!(
        table.contains("| step | args_max | 96 | 48 | 1.00 (1.00 to 1.00) |"),
        "{table}"
    );
    // Of the two that decide, the first in the list of signals.
    let gate = &made.json()["gate"];
    assert_eq!(gate["signal"], "args_mean");
    let provenance =
        "egss calibrate, 96 steps of best-of-4 on 12 tasks (mine.jsonl), seed 0; 2026-11-27";
    assert_eq!(gate["provenance"], provenance);
    let nats = gate["threshold_nats"].as_f64().unwrap();
    assert!((0.75..1.25).contains(&nats), "{nats}");
    let shown = text(&made.egss(&["models", "show", DEFAULT_MODEL]).stdout);
    assert!(
        shown.contains("gate          args_mean >= ") && shown.contains(provenance),
        "{shown}"
    );

    // Gates of other strategies are kept beside it.
    let others = made.json()["other_gates"].clone();
    let signals = |gates: &Value| -> Vec<String> {
        let names = gates.as_array().unwrap().iter().map(|gate| &gate["signal"]);
        names
            .map(|name| name.as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(signals(&others), ["args_max"]);
    // Those of other signals go on.
    let kept = find_gates(&made);
    assert_eq!(signals(&kept), ["args_mean", "args_max", "tool"]);
    assert!(shown.contains("\n              args_max >= "), "{shown}");

    // The folder is as good as before, though the gate is another now.
    let before = made.json();
    let again = made.calibrate(&["--quantile", "0.75", "--no-write", "--json"]);
    assert!(again.status.success(), "{}", text(&again.stderr));
    assert_eq!(
        serde_json::from_slice::<Value>(&again.stdout).unwrap(),
        before
    );
    // With a gate that no run was made with, all of them are missing: so is the model.
    let other = made.calibrate(&["--gate", "args_max:9", "--no-write", "--unsafe-no-sandbox"]);
    assert!(text(&other.stderr).contains("0 of 12 runs are in "));
    refused(&other, "is not there yet");
}

/// As `egss models` has them for the default model.
fn find_gates(made: &Evaluation) -> Value {
    let listed = made.egss(&["models", "list", "--json"]).stdout;
    let listed: Value = serde_json::from_slice(&listed).unwrap();
    let mut models = listed.as_array().unwrap().iter();
    let default = models.find(|model| model["name"] == DEFAULT_MODEL);
    default.unwrap()["gate"].clone()
}

#[test]
fn a_signal_that_tells_nothing_leaves_the_present_one() {
    let made = Evaluation::new(12, false);
    let output = made.calibrate(&["--no-write"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("\nargs_max goes on gating: no signal"));
    assert!(
        !made.dir.path().join("config").exists(),
        "nothing was to be kept"
    );
    let halves = made.json()["halves"].clone();
    let [first, second] = [0, 1].map(|half: usize| halves[half].as_array().unwrap().clone());
    assert_eq!((first.len(), second.len()), (6, 6));
    assert!(first.iter().all(|task| !second.contains(task)));
}

#[test]
fn the_page_has_its_charts_and_fetches_nothing() {
    let made = Evaluation::new(4, true);
    let page = |made: &Evaluation| {
        assert!(made.calibrate(&["--no-write"]).status.success());
        std::fs::read_to_string(made.out().join("calibration.html")).unwrap()
    };
    let page = page(&made);
    // Three signals were measured; the dots; the curve.
    assert_eq!(page.matches("<svg").count(), 5);
    for part in [
        "gate, ",
        "predicted chance to pass",
        "step · args_max",
        "mine.jsonl",
    ] {
        assert!(page.contains(part), "{part}");
    }
    for part in ["<script", "style=", "http:", "https:"] {
        let n_allowed = page.matches("http://www.w3.org/2000/svg").count();
        let allowed = if part == "http:" { n_allowed } else { 0 };
        assert_eq!(page.matches(part).count(), allowed, "{part}");
    }
}

#[test]
fn bad_input_gets_one_sentence() {
    let made = Evaluation::new(3, true);
    refused(
        &made.calibrate(&["--first", "1"]),
        "too few tasks to calibrate by: 1 with a step",
    );
    let output = made.calibrate(&["--quantile", "1"]);
    let error = text(&output.stderr);
    assert!(!output.status.success() && error.contains("a number between 0 and 1 is needed"));
    refused(
        &made.calibrate(&["--signal", "vote"]),
        "vote was measured at no step",
    );
    refused(&made.calibrate(&["--model", "some.gguf"]), "add --no-write");
    let rows: String = (0..3)
        .map(|t| line(&row(&format!("task__{t}"), &[(0, "right", false)])))
        .collect();
    std::fs::write(made.out().join("results.jsonl"), rows).unwrap();
    refused(&made.calibrate(&[]), "none passes the hidden tests");
    std::fs::remove_dir_all(made.out().join("runs")).unwrap();
    refused(
        &made.calibrate(&[]),
        "results without the runs that they came from",
    );
    assert!(!made.dir.path().join("config").exists(), "nothing was kept");
}

#[test]
fn names_of_files_and_tasks_enter_the_page_as_text() {
    let made = Evaluation::new(4, true);
    let odd = made.dir.path().join("<b>&.jsonl");
    std::fs::rename(made.tasks(), &odd).unwrap();
    let out = made.out();
    let arguments = [
        "calibrate",
        "--no-write",
        "--tasks",
        path(&odd),
        "--out",
        path(&out),
    ];
    assert!(made.egss(&arguments).status.success());
    let page = std::fs::read_to_string(out.join("calibration.html")).unwrap();
    assert!(page.contains("&lt;b&gt;&amp;.jsonl") && !page.contains("<b>&"));
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
