//! The whole path with the default model's real weights, cut to a few steps.
//! Run `scripts/fetch-model` first.
use egss::agent::SplicedDialect;
use egss::base::{AgentProfile, Budget, Gates};
use egss::checkpoint::resolve;
use egss::engine::{Engine, EngineSettings, open};
use egss::search::{NoWatcher, Others, SolveRequest, Tools, solve, strategy_named};
use egss::verify::OwnTests;
use egss::workspace::{Sandbox, SandboxMode};
use std::path::Path;

const MODEL: &str = "qwen2.5-coder-1.5b-instruct-q4_k_m";

/// Of the siblings at a fork, this share at least are actions of their own.
const DIFFERENT_MIN: f64 = 0.75;

#[test]
fn real_model_siblings_differ_and_every_token_is_accounted_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = resolve(MODEL).expect("scripts/fetch-model has fetched it");
    let settings = EngineSettings {
        context_max: 4_096,
        kv_bytes_max: 512 << 20,
        engines_max: 1,
    };
    let mut opened = open(&path, &settings, &mut |_| {}).unwrap();
    let vocabulary = opened.engine.vocabulary();
    let stops = opened.stop_tokens.iter();
    let stops = stops.map(|&token| vocabulary.decode(&[token])).collect();
    let dialect = SplicedDialect::of(&opened.template, stops, false).unwrap();
    let python = root.join(".venv/bin/python");
    let sandbox = Sandbox::new(SandboxMode::Bubblewrap, &python).unwrap();
    let issue = std::fs::read_to_string(root.join("tests/demo/issue.md")).unwrap();
    let strategy = strategy_named("branch-always", 1, 4, &AgentProfile::small()).unwrap();
    let out = tempfile::tempdir().unwrap();
    let request = SolveRequest {
        repo: &root.join("tests/demo/repo"),
        issue: &issue,
        model: MODEL,
        device: "cpu",
        strategy: &strategy,
        seed: 2,
        budget: Budget {
            branches_max: 4,
            steps_max: 4,
            tokens_max: 6_000,
            ..Budget::default()
        },
        gates: Gates::default(),
        profile: &AgentProfile::small(),
        own_tests: OwnTests::default(),
        environment: None,
        index_dir: None,
    };
    let tools = Tools {
        engine: &mut opened.engine,
        others: Others::default(),
        dialect: &dialect,
        sandbox: &sandbox,
        watcher: &NoWatcher,
        began: std::time::Instant::now(),
    };
    let state = solve(out.path(), &request, tools).unwrap();

    let engine = &opened.engine;
    assert_eq!(state.usage, engine.usage());
    let usage = engine.usage().total();
    println!(
        "{} decoded + {} computed + {} reused = {} seen + {} run again",
        usage.decoded_tokens,
        usage.computed_tokens,
        usage.reused_tokens,
        engine.seen_tokens(),
        engine.rerun_tokens()
    );
    assert_eq!(
        usage.decoded_tokens + usage.computed_tokens + usage.reused_tokens,
        engine.seen_tokens() + engine.rerun_tokens()
    );
    engine.check_integrity();

    let forks = state.steps.iter().filter(|step| step.decision.branch);
    let forks: Vec<_> = forks.map(|step| &step.candidates).collect();
    let decoded: u32 = forks.iter().flat_map(|c| c.iter()).map(|c| c.merged).sum();
    let different: usize = forks.iter().map(|candidates| candidates.len()).sum();
    println!(
        "{different} of {decoded} actions at {} forks differ",
        forks.len()
    );
    assert!(!forks.is_empty());
    assert!(different as f64 >= DIFFERENT_MIN * f64::from(decoded));
}
