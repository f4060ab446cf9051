//! Several strategies on one engine, one after the other.
use crate::judge::task;
use crate::support::sandbox;
use egss::agent::ChatMl;
use egss::base::{Budget, Strategy, UsageByPurpose};
use egss::engine::scripted::ScriptedEngine;
use egss::eval::{EvalRequest, EvalRow, EvalWorker, Prefixes, evaluate};
use egss::search::{NoWatcher, Others, strategy_named};

const EDIT: &str = "<tool_call>\n{\"name\": \"edit\", \"arguments\": {\"path\": \"mod.py\", \"symbol\": \"double\"}}\n</tool_call>\n```python\ndef double(x):\n    return x * 2\n```";

/// What each strategy does, on an engine that they share.
fn rows(names: &[&str], prefixes: Prefixes) -> Vec<EvalRow> {
    let (out, sandbox) = (tempfile::tempdir().unwrap(), sandbox());
    let mut engine = ScriptedEngine::from_policy(|_| vec![(EDIT.to_owned(), 1.0)]);
    let strategies: Vec<Strategy> = names
        .iter()
        .map(|name| strategy_named(name, 2, 2).unwrap())
        .collect();
    let request = EvalRequest {
        tasks: &[task()],
        strategies: &strategies,
        seeds: &[1],
        model: "scripted",
        budget: Budget::default(),
        gate: None,
        prefixes,
        out: out.path(),
    };
    let worker = EvalWorker {
        engine: &mut engine,
        others: Others::default(),
        dialect: &ChatMl::default(),
        sandbox: &sandbox,
        watcher: &NoWatcher,
    };
    let rows = evaluate(&request, vec![worker], &mut |_, _| {}).unwrap();
    for row in &rows {
        assert_eq!(row.oracle, !row.right.is_empty());
    }
    rows
}

fn spent(names: &[&str]) -> Vec<UsageByPurpose> {
    let rows = rows(names, Prefixes::Forget);
    rows.into_iter().map(|row| row.usage).collect()
}

#[test]
fn a_strategy_profits_from_no_other_ones_work() {
    let after_another = spent(&["single", "best-of-n"]);
    let alone = spent(&["best-of-n"]);
    assert!(alone[0].agent.reused_tokens > 0, "it shares its own prompt");
    assert_eq!(after_another[1], alone[0]);
}
