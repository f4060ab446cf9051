//! Bundled packages in JavaScript, Go and Rust: a scripted agent solves each through the
//! tools of `standard`, and its tests are counted by the language's own runner.
use crate::{Say, call, engine, profile, run};
use egss::record::{BranchStatus, StepOutcome, SuiteRun, TestResult};
use egss::search::RunState;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;

fn task(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(name)
}

/// Runs the calls and has the patch judged by the task's acceptance tests.
fn solve_task(name: &str, calls: Vec<Say>) -> (RunState, bool) {
    let (task, out) = (task(name), tempfile::tempdir().unwrap());
    let issue = std::fs::read_to_string(task.join("issue.md")).unwrap();
    let profile = profile();
    let engine = engine(calls, 100_000);
    let state = run(&task.join("repo"), &issue, &profile, engine, out.path());
    let ended = state.branches[0].ended.as_ref().unwrap();
    assert_eq!(
        ended.status,
        BranchStatus::Submitted,
        "{:#?}",
        texts(&state)
    );
    let patch = out.path().join("selected.diff");
    std::fs::write(&patch, &ended.patch).unwrap();
    let judged = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/judge-demo"))
        .args([&task, &patch])
        .output()
        .unwrap();
    if !judged.status.success() {
        eprintln!("{}", String::from_utf8_lossy(&judged.stdout));
    }
    (state, judged.status.success())
}

fn texts(state: &RunState) -> Vec<&str> {
    state
        .steps
        .iter()
        .map(|step| step.observation.as_str())
        .collect()
}

fn outcomes(state: &RunState) -> Vec<StepOutcome> {
    state.steps.iter().map(|step| step.outcome).collect()
}

/// The tests of the base, all of which pass, by the id's beginning.
fn passed(run: &SuiteRun, prefix: &str) -> usize {
    let own = run.tests.iter().filter(|test| test.id.starts_with(prefix));
    own.filter(|test| test.result == TestResult::Passed).count()
}

#[test]
fn a_javascript_package_is_solved_and_tested_by_node() {
    let calls = vec![
        call("search", json!({"pattern": "totalNeeded"})),
        call("view", json!({"path": "src/shopping.js"})),
        call("edit", json!({"path": "src/shopping.js"})).with_code(
            "<<<<<<< SEARCH\n        total.set(key, ingredient);\n=======\n        total.set(key, { ...ingredient });\n>>>>>>> REPLACE\n",
        ),
        call("run", json!({"command": "node --test"})),
        call("submit", json!({})),
    ];
    let (state, resolved) = solve_task("demo-js", calls);
    assert!(resolved);
    assert!(passed(state.base_run().unwrap(), "test/shopping.test.js::") > 0);
    assert_eq!(
        outcomes(&state)[2..4],
        [StepOutcome::TestsPassed; 2],
        "{:#?}",
        texts(&state)
    );
    assert!(state.start.prompt_text.contains("JavaScript code"));
}

#[test]
fn a_go_module_is_solved_and_tested_by_go_test() {
    let file = std::fs::read_to_string(task("demo-go").join("repo/quiet/quiet.go")).unwrap();
    let old = "\t\tat = b.To\n";
    assert!(file.contains(old));
    let line = file
        .lines()
        .position(|line| line == old.trim_end_matches('\n'))
        .unwrap()
        + 1;
    let calls = vec![
        call("list", json!({"path": "quiet"})),
        call(
            "view",
            json!({"path": "quiet/quiet.go", "start": 1, "end": 60}),
        ),
        call(
            "edit",
            json!({"path": "quiet/quiet.go", "start": line, "end": line}),
        )
        .with_code("\t\tif b.To > at {\n\t\t\tat = b.To\n\t\t}\n"),
        call("run", json!({"command": "go test ./..."})),
        call("submit", json!({})),
    ];
    let (state, resolved) = solve_task("demo-go", calls);
    assert!(resolved);
    assert!(passed(state.base_run().unwrap(), "quiet/quiet_test.go::") > 0);
    assert_eq!(
        outcomes(&state)[2],
        StepOutcome::TestsPassed,
        "{:#?}",
        texts(&state)
    );
    assert!(state.start.prompt_text.contains("Go code"));
}

#[test]
fn a_rust_package_is_solved_and_tested_by_nextest() {
    let code = "pub fn column(text: &str, width: usize) -> String {\n    let length = text.chars().count();\n    if length > width {\n        let kept: String = text.chars().take(width - CUT.len()).collect();\n        return format!(\"{kept}{CUT}\");\n    }\n    format!(\"{text}{}\", \" \".repeat(width - length))\n}\n";
    let calls = vec![
        call(
            "search",
            json!({"pattern": "fn column", "glob": "*.rs", "context": 8}),
        ),
        call("edit", json!({"path": "src/text.rs", "symbol": "column"})).with_code(code),
        call("submit", json!({})),
    ];
    let (state, resolved) = solve_task("demo-rust", calls);
    assert!(resolved);
    assert!(passed(state.base_run().unwrap(), "tests/board.rs::") > 0);
    assert_eq!(
        outcomes(&state)[1],
        StepOutcome::TestsPassed,
        "{:#?}",
        texts(&state)
    );
    assert!(state.start.prompt_text.contains("Rust code"));
}
