//! The `standard` profile from end to end with a scripted engine: its tools, a context
//! that fills, large repositories, and packages in other languages than Python.
mod bytes;
mod checks;
mod folding;
mod languages;
mod locations;
mod size;
mod tools;

use egss::agent::{CallFormat, ChatMl};
use egss::base::{AgentProfile, Budget, Gates};
use egss::engine::scripted::ScriptedEngine;
use egss::record::StepFinished;
use egss::search::{NoWatcher, Others, RunState, SolveRequest, Tools, solve, strategy_named};
use egss::verify::OwnTests;
use egss::workspace::{Sandbox, SandboxMode};
use std::path::Path;

/// One step of a scripted agent: a call, and its code block if it has one.
#[derive(Clone)]
pub struct Say(pub String);

/// A call as Hermes' format writes it, with arguments as JSON values.
pub fn call(tool: &str, arguments: serde_json::Value) -> Say {
    let call = serde_json::json!({ "name": tool, "arguments": arguments });
    Say(format!("<tool_call>\n{call}\n</tool_call>"))
}

impl Say {
    pub fn with_code(self, code: &str) -> Self {
        Self(format!("{}\n```\n{code}```", self.0))
    }
}

/// Says the calls in order, one a step, whatever is answered; then the last one.
pub fn engine(calls: Vec<Say>, context_max: usize) -> ScriptedEngine {
    ScriptedEngine::from_policy(move |history| {
        let turn: Vec<u32> = "<tool_response>".bytes().map(u32::from).collect();
        let n = history.windows(turn.len()).filter(|w| *w == turn).count();
        vec![(calls[n.min(calls.len() - 1)].0.clone(), 1.0)]
    })
    .with_context_max(context_max)
}

pub fn sandbox() -> Sandbox {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    assert!(
        python.exists(),
        "no .venv/bin/python: run scripts/setup, which makes it with pytest"
    );
    Sandbox::new(SandboxMode::Bubblewrap, &python).unwrap()
}

/// The profile for scripts: their first calls view no locations of the index.
pub fn profile() -> AgentProfile {
    let mut profile = AgentProfile::standard();
    profile.limits.locations_max = 0;
    profile
}

/// One trajectory of the calls in `repo`.
pub fn run(
    repo: &Path,
    issue: &str,
    profile: &AgentProfile,
    engine: ScriptedEngine,
    run_dir: &Path,
) -> RunState {
    run_by("single", repo, issue, profile, engine, run_dir)
}

/// The limits that a profile asks for.
fn budget_of(profile: &AgentProfile) -> Budget {
    let limits = &profile.limits;
    Budget {
        tokens_max: limits.tokens_max,
        steps_max: limits.steps_max,
        action_tokens_max: limits.action_tokens_max,
        ..Budget::default()
    }
}

/// A run of a strategy by one trajectory.
pub fn run_by(
    strategy: &str,
    repo: &Path,
    issue: &str,
    profile: &AgentProfile,
    engine: ScriptedEngine,
    run_dir: &Path,
) -> RunState {
    let budget = budget_of(profile);
    run_within(budget, strategy, repo, issue, profile, engine, run_dir)
}

/// The same within other limits.
pub fn run_within(
    budget: Budget,
    strategy: &str,
    repo: &Path,
    issue: &str,
    profile: &AgentProfile,
    mut engine: ScriptedEngine,
    run_dir: &Path,
) -> RunState {
    let strategy = strategy_named(strategy, 1, 4, profile).unwrap();
    let request = SolveRequest {
        repo,
        issue,
        device: "cpu",
        model: "scripted",
        strategy: &strategy,
        seed: 1,
        budget,
        gates: Gates::default(),
        profile,
        own_tests: OwnTests::default(),
        environment: None,
        index_dir: None,
    };
    let (dialect, sandbox) = (ChatMl::default(), sandbox());
    let tools = Tools {
        engine: &mut engine,
        others: Others::default(),
        dialect: &dialect,
        sandbox: &sandbox,
        watcher: &NoWatcher,
        began: std::time::Instant::now(),
    };
    solve(run_dir, &request, tools).unwrap()
}

pub fn write(dir: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let file = dir.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
}

/// The call of each step.
pub fn called(steps: &[StepFinished]) -> Vec<String> {
    let first = |step: &StepFinished| {
        let canonical = &step.candidates[step.chosen].canonical;
        canonical.lines().next().unwrap_or_default().to_owned()
    };
    steps.iter().map(first).collect()
}

#[test]
fn calls_are_written_as_the_format_has_them() {
    let written = CallFormat::Hermes.write("list", &[("path", ".")]);
    let Say(said) = call("list", serde_json::json!({ "path": "." }));
    assert_eq!(
        said.replace([' ', '\n'], ""),
        written.replace([' ', '\n'], "")
    );
}
