//! A context that fills.
use crate::{call, engine, profile, run, write};
use egss::agent::{ChatMl, Dialect};
use egss::base::{AgentProfile, BranchId};
use egss::engine::Vocabulary;
use egss::engine::scripted::ByteVocabulary;
use egss::record::{BranchStatus, Event, RECORD_FILE, read_record};
use egss::search::RunState;
use serde_json::json;

/// Room for the first prompt and some of the views below; tokens are bytes.
const CTX_TOKENS: usize = 16_000;
const N_VIEWS: usize = 30;

fn narrow() -> AgentProfile {
    let mut profile = profile();
    profile.limits.action_tokens_max = 400;
    profile.shares.files = 0.05;
    profile
}

fn run_views(unfolded_min: u32, out: &std::path::Path) -> RunState {
    let repo = tempfile::tempdir().unwrap();
    let long: String = (1..=200).map(|n| format!("value_{n} = {n}\n")).collect();
    write(
        repo.path(),
        &[
            ("values.py", &long),
            ("cart.py", "def f():\n    return 1\n"),
        ],
    );
    let mut calls: Vec<_> = (0..N_VIEWS)
        .map(|n| {
            let (start, end) = (n * 5 + 1, n * 5 + 40);
            call(
                "view",
                json!({"path": "values.py", "start": start, "end": end}),
            )
        })
        .collect();
    // A folded view may be asked for again.
    calls.push(call(
        "view",
        json!({"path": "values.py", "start": 1, "end": 40}),
    ));
    calls.push(
        call("edit", json!({"path": "cart.py", "symbol": "f"}))
            .with_code("def f():\n    return 2\n"),
    );
    calls.push(call("submit", json!({})));
    let mut profile = narrow();
    profile.limits.unfolded_min = unfolded_min;
    run(
        repo.path(),
        "`f` gives 1.",
        &profile,
        engine_by_step(calls),
        out,
    )
}

/// Folded observations stay tool responses, so steps can still be counted by them.
fn engine_by_step(calls: Vec<crate::Say>) -> egss::engine::scripted::ScriptedEngine {
    engine(calls, CTX_TOKENS)
}

#[test]
fn a_context_that_fills_folds_old_observations_and_goes_on() {
    let out = tempfile::tempdir().unwrap();
    let state = run_views(4, out.path());
    let branch = &state.branches[0];
    assert_eq!(
        branch.ended.as_ref().unwrap().status,
        BranchStatus::Submitted
    );
    assert_eq!(state.steps.len(), N_VIEWS + 3);
    let (lines, _) = read_record(&out.path().join(RECORD_FILE)).unwrap();
    let folds: Vec<_> = lines
        .iter()
        .filter_map(|line| match &line.event {
            Event::Folded(folded) => Some(folded),
            _ => None,
        })
        .collect();
    assert!(!folds.is_empty());
    for folded in &folds {
        assert!(folded.tokens_after < folded.tokens_before);
        // Before the fold the last observation may reach past the context.
        assert!(folded.tokens_after + narrow().limits.action_tokens_max <= CTX_TOKENS);
    }
    // The view that was asked for again was carried out, not withheld as a repetition.
    let again = &state.steps[N_VIEWS];
    assert!(
        again.observation.contains("1| value_1 = 1"),
        "{}",
        again.observation
    );
    // The newest stay whole.
    let newest = state.steps.iter().rev().take(4);
    for step in newest {
        assert!(!state.is_folded(BranchId(0), step.step));
    }
    // Tokens computed again behind a fold are counted.
    let told: usize = state.steps.iter().map(|s| s.observation_tokens.len()).sum();
    let prompt = state.start.prompt_tokens.len();
    let computed = state.usage.agent.computed_tokens as usize;
    assert!(computed > told + prompt, "{computed} of {told} + {prompt}");
    assert_history_is_rendered_whole(&state);
}

/// The branch's tokens are those of the conversation rendered at once, with the folded
/// observations in the place of the ones that they stand for.
fn assert_history_is_rendered_whole(state: &RunState) {
    let (vocabulary, dialect) = (ByteVocabulary::chat_ml(), ChatMl::default());
    let branch = BranchId(0);
    let mut whole = state.start.prompt_text.clone();
    let n_steps = state.path(branch).count();
    for (at, step) in state.path(branch).enumerate() {
        whole += &step.candidates[step.chosen].text;
        if at + 1 == n_steps {
            break; // the last action has no observation behind it
        }
        let folded = state.branch(branch).folded.iter();
        let mut folded = folded.filter(|(_, observation)| observation.step == step.step);
        let text = folded
            .next()
            .map_or(step.observation.as_str(), |(_, o)| o.text.as_str());
        let rendered: String = dialect.observation(text).iter().map(|s| s.text()).collect();
        // An action that closes its own turn does not have it closed twice.
        let closed = step.candidates[step.chosen].text.ends_with("<|im_end|>");
        whole += match closed {
            true => rendered.strip_prefix("<|im_end|>").unwrap(),
            false => &rendered,
        };
    }
    assert_eq!(vocabulary.decode(&state.tokens(branch)), whole);
    assert_eq!(state.tokens(branch), vocabulary.encode_special(&whole));
}

#[test]
fn a_profile_that_folds_nothing_ends_its_branch_by_name() {
    let out = tempfile::tempdir().unwrap();
    let state = run_views(0, out.path());
    let ended = state.branches[0].ended.as_ref().unwrap();
    assert_eq!(ended.status, BranchStatus::ContextFull);
    assert!(state.branches[0].folded.is_empty());
}

#[test]
fn where_folding_is_not_enough_the_branch_ends_by_name() {
    let out = tempfile::tempdir().unwrap();
    // So many newest ones stay whole that the context cannot hold them.
    let state = run_views(25, out.path());
    let ended = state.branches[0].ended.as_ref().unwrap();
    assert_eq!(ended.status, BranchStatus::ContextFull);
}
