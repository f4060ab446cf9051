//! The report as JSON: the facts of the page, without the tokens, which stay
//! in the record.
use super::baseline::{Cost, comparison};
use super::figures::diff_stat;
use super::gate::ShownGate;
use super::sentence::{branch_end, run_outcome};
use super::view::{RunView, SuiteView, signal_nats};
use crate::base::{GateSignal, Purpose, UsageByPurpose};
use crate::record::{Candidate, StepFinished};
use serde_json::{Map, Value, json};

/// Version of [`json`]'s layout, its field `report_version`.
pub const REPORT_VERSION: u32 = 2;

/// Renders the report as a JSON value.
pub fn json(view: &RunView) -> Value {
    let start = &view.start;
    json!({
        "report_version": REPORT_VERSION,
        "egss_version": start.egss_version,
        "outcome": run_outcome(view),
        "finished": view.ended.is_some(),
        "winner": view.winner().map(|branch| branch.id),
        "issue": start.issue,
        "repo": start.repo,
        "model": start.model,
        "device": start.device,
        "strategy": start.strategy.name,
        "n": start.strategy.n,
        "k": start.strategy.k,
        "seed": start.seed,
        "settings": start.strategy,
        "profile": start.profile,
        "cuts": start.cuts,
        "budget": start.budget,
        "gate": start.gate,
        "running_gate": running_gate(view),
        "prompt_tokens": start.prompt_tokens.len(),
        "started_at_s": start.started_at_s,
        "wall_ms": view.wall_ms(),
        "usage": usage(&view.usage()),
        "reasoning_tokens": view.reasoning_tokens(),
        "baselines": baselines(view),
        "branches": view.branches.iter().map(|branch| json!({
            "branch": branch.id,
            "forked_from": branch.forked_from,
            "reason": branch.reason,
            "left_within_action": view.seam(branch).map(|seam| {
                json!({"shared_tokens": seam.n_shared, "action_tokens": seam.n_tokens})
            }),
            "judged": view.judged(branch.id),
            "end": branch_end(view, branch),
            "status": branch.ended.as_ref().map(|ended| ended.status),
            "score": branch.ended.as_ref().and_then(|ended| ended.score),
            "entropy_mean_nats": branch.ended.as_ref().and_then(|ended| ended.entropy_mean_nats),
            "patch": branch.ended.as_ref().map(|ended| &ended.patch),
            "patch_lines": branch.ended.as_ref().map(|ended| {
                let (added, removed) = diff_stat(&ended.readable());
                json!({"added": added, "removed": removed})
            }),
            "path": branch.path().iter().map(|&at| view.steps[at].step).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "steps": view.steps.iter().map(step).collect::<Vec<_>>(),
        "folded": view.folded,
        "tests": view.suite().map(suite),
        "votes": view.votes,
        "selection": view.selected,
        "patch": view.ended.as_ref().map(|ended| &ended.patch),
    })
}

fn step(step: &StepFinished) -> Value {
    json!({
        "step": step.step,
        "branch": step.branch,
        "depth": step.depth,
        "signal_nats": signal_nats(step),
        "decision": step.decision,
        "outcome": step.outcome,
        "chosen": step.chosen,
        "candidates": step.candidates.iter().map(candidate).collect::<Vec<_>>(),
        "observation": step.observation,
        "cuts": step.cuts,
        "usage": usage(&step.usage),
    })
}

fn candidate(candidate: &Candidate) -> Value {
    json!({
        "text": candidate.text,
        "tool": candidate.tool,
        "entropy": candidate.entropy,
        "signals_nats": signals_nats(candidate),
        "judge": candidate.judge,
        "merged": candidate.merged,
        "forked_at": candidate.forked_at,
        "temperature": candidate.temperature,
        "tried": candidate.tried,
    })
}

/// Every signal by name; `null` where it was not measured.
fn signals_nats(candidate: &Candidate) -> Value {
    let signals = GateSignal::ALL.iter().map(|signal| {
        let nats = signal.of(&candidate.entropy);
        (signal.name().to_owned(), json!(nats))
    });
    Value::Object(signals.collect())
}

/// How the run's own gate moved; `null` where one was given, or none was asked.
fn running_gate(view: &RunView) -> Value {
    let Some(ShownGate::Running(span)) = ShownGate::of(view) else {
        return Value::Null;
    };
    json!({
        "signal": span.signal,
        "quantile": span.quantile,
        "steps": span.n_steps,
        "first_nats": span.opened.map(|(first, _)| first),
        "last_nats": span.opened.map(|(_, last)| last),
        "compared": span.n_compared,
        "at_gate": span.n_at_gate,
    })
}

/// Decoded, computed and spent tokens of the run and of its baselines.
fn baselines(view: &RunView) -> Value {
    let found = comparison(view);
    let row = |cost: Cost| {
        let mut row = json!(cost);
        row["spent_tokens"] = json!(cost.spent_tokens());
        row
    };
    json!({
        "run": row(found.run),
        "shared_prompt": row(found.shared_prompt),
        "naive": row(found.naive),
    })
}

fn suite(suite: &SuiteView) -> Value {
    json!({
        "built": suite.built,
        "classes": suite.classified.classes.iter().map(|(id, class)| json!({
            "id": id,
            "class": class,
            "written": suite.is_written(id),
        })).collect::<Vec<_>>(),
        "set_aside": suite.classified.set_aside.iter().map(|(id, why)| json!({"id": id, "why": why})).collect::<Vec<_>>(),
        "runs": suite.runs.iter().map(|run| {
            let (passed, counted) = suite.counted(run);
            json!({
                "branch": run.branch,
                "counts": run.counts,
                "counted": {"passed": passed, "total": counted},
                "tests": run.tests,
                "not_run": run.not_run,
                "fault": run.fault,
                "coverage": run.coverage,
            })
        }).collect::<Vec<_>>(),
    })
}

/// Each purpose and the total, `spent_tokens` (decoded + computed) added.
fn usage(usage: &UsageByPurpose) -> Value {
    let row = |usage: crate::base::Usage| {
        let mut row = json!(usage);
        row["spent_tokens"] = json!(usage.spent_tokens());
        row
    };
    let mut table: Map<String, Value> = Purpose::ALL
        .iter()
        .map(|&purpose| (purpose.name().to_owned(), row(usage[purpose])))
        .collect();
    table.insert("total".into(), row(usage.total()));
    Value::Object(table)
}
