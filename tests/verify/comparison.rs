//! Several strategies on one engine, one after the other.
use crate::judge::task;
use crate::support::sandbox;
use egss::agent::ChatMl;
use egss::base::{AgentProfile, Budget, FixedPatch, Gates, Strategy, UsageByPurpose};
use egss::engine::scripted::ScriptedEngine;
use egss::eval::{
    EvalDone, EvalError, EvalRequest, EvalRow, EvalWorker, Evaluated, Grader, Prefixes, Solver,
    Task, evaluate, rescore,
};
use egss::record::{RECORD_FILE, Voted, read_record};
use egss::report::write_report;
use egss::search::{NoWatcher, Others, RunState, strategy_named};
use std::path::Path;

const EDIT: &str = "<tool_call>\n{\"name\": \"edit\", \"arguments\": {\"path\": \"mod.py\", \"symbol\": \"double\"}}\n</tool_call>\n```python\ndef double(x):\n    return x * 2\n```";

const WRONG: &str = "<tool_call>\n{\"name\": \"edit\", \"arguments\": {\"path\": \"mod.py\", \"symbol\": \"double\"}}\n</tool_call>\n```python\ndef double(x):\n    return x * 3\n```";

const DEVICE: &str = "NVIDIA Test 9000";

/// An evaluation on scripted engines; what is said of each new row goes to `told`.
struct Trial<'a> {
    tasks: &'a [Task],
    names: &'a [&'a str],
    prefixes: Prefixes,
    n_engines: usize,
    seeds: &'a [u64],
    out: &'a Path,
}

impl Trial<'_> {
    fn rows(&self, told: &mut Vec<String>) -> Result<Vec<EvalRow>, EvalError> {
        let sandbox = sandbox();
        let policy = |_: &[u32]| vec![(EDIT.to_owned(), 0.5), (WRONG.to_owned(), 0.5)];
        let mut engines: Vec<ScriptedEngine> = (0..self.n_engines)
            .map(|_| ScriptedEngine::from_policy(policy))
            .collect();
        let named = |name: &&str| strategy_named(name, 3, 2, &AgentProfile::small()).unwrap();
        let strategies: Vec<Strategy> = self.names.iter().map(named).collect();
        let request = EvalRequest {
            tasks: self.tasks,
            strategies: &strategies,
            fixed: &[],
            grader: Grader::Own,
            seeds: self.seeds,
            model: "scripted",
            budget: Budget::default(),
            gates: Gates::default(),
            profile: &AgentProfile::small(),
            prefixes: self.prefixes,
            out: self.out,
        };
        let dialect = ChatMl::default();
        let workers = engines.iter_mut().map(|engine| EvalWorker {
            sandbox: &sandbox,
            watcher: &NoWatcher,
            solver: Some(Solver {
                engine,
                others: Others::default(),
                dialect: &dialect,
                device: DEVICE,
            }),
        });
        let evaluated = evaluate(&request, workers.collect(), &mut |done, _| {
            if let EvalDone::Row(row) = done {
                told.push(format!("{} {}", row.instance_id, row.strategy));
            }
        })?;
        assert_eq!(evaluated.not_run, []);
        Ok(evaluated.rows)
    }
}

/// The same task under several names.
fn tasks(names: &[&str]) -> Vec<Task> {
    let named = |name: &&str| {
        let mut task = task();
        task.instance_id = (*name).to_owned();
        task
    };
    names.iter().map(named).collect()
}

/// The rows of one task, each strategy's.
fn rows_of(names: &[&str], prefixes: Prefixes) -> Vec<EvalRow> {
    let out = tempfile::tempdir().unwrap();
    let trial = Trial {
        tasks: &tasks(&["a"]),
        names,
        prefixes,
        n_engines: 1,
        seeds: &[1],
        out: out.path(),
    };
    trial.rows(&mut Vec::new()).unwrap()
}

#[test]
fn patches_that_are_known_are_judged_without_a_model() {
    let out = tempfile::tempdir().unwrap();
    let (tasks, sandbox) = (tasks(&["a", "b"]), sandbox());
    let request = EvalRequest {
        tasks: &tasks,
        strategies: &[],
        fixed: FixedPatch::ALL,
        grader: Grader::Own,
        seeds: &[0, 1],
        model: "none",
        budget: Budget::default(),
        gates: Gates::default(),
        profile: &AgentProfile::small(),
        prefixes: Prefixes::Charge,
        out: out.path(),
    };
    let judge = || {
        let worker = EvalWorker {
            sandbox: &sandbox,
            watcher: &NoWatcher,
            solver: None,
        };
        let mut n_new = 0;
        let evaluated = evaluate(&request, vec![worker], &mut |_, _| n_new += 1).unwrap();
        (evaluated, n_new)
    };
    let (Evaluated { rows, not_run }, n_new) = judge();
    assert_eq!((rows.len(), not_run.len(), n_new), (4, 0, 4));
    for row in &rows {
        assert_eq!(row.resolved, row.strategy == "gold", "{row:?}");
        let failed = &row.candidates[0].failed;
        match row.resolved {
            true => assert_eq!(failed, &[] as &[String]),
            false => assert_eq!(failed, &tasks[0].fail_to_pass),
        }
    }
    assert_eq!(judge().1, 0, "what is judged is not judged again");
}

#[test]
fn the_record_of_a_run_says_on_which_device_it_ran() {
    let out = tempfile::tempdir().unwrap();
    let trial = Trial {
        tasks: &tasks(&["a"]),
        names: &["single"],
        prefixes: Prefixes::Forget,
        n_engines: 1,
        seeds: &[1],
        out: out.path(),
    };
    let row = trial.rows(&mut Vec::new()).unwrap().remove(0);
    let run_dir = out.path().join("runs").join(row.run_name());
    let (lines, _) = read_record(&run_dir.join(RECORD_FILE)).unwrap();
    assert_eq!(RunState::of_record(&lines).start.device, DEVICE);
    // And so does its report, in each format.
    write_report(&run_dir).unwrap();
    for name in ["report.html", "report.md"] {
        let report = std::fs::read_to_string(run_dir.join(name)).unwrap();
        assert!(report.contains(DEVICE), "{name}");
    }
}

#[test]
fn a_strategy_profits_from_no_other_ones_work() {
    for prefixes in [Prefixes::Forget, Prefixes::Charge] {
        let after_another = rows_of(&["single", "best-of-n"], prefixes);
        let alone = rows_of(&["best-of-n"], prefixes);
        let reused = alone[0].usage.agent.reused_tokens;
        assert!(reused > 0, "it shares its own prompt");
        assert_eq!(after_another[1].usage, alone[0].usage);
    }
}

#[test]
fn what_is_finished_is_kept_and_a_cut_line_is_done_again() {
    let out = tempfile::tempdir().unwrap();
    let tasks = tasks(&["a", "b"]);
    let trial = |tasks| Trial {
        tasks,
        names: &["single"],
        prefixes: Prefixes::Charge,
        n_engines: 1,
        seeds: &[1],
        out: out.path(),
    };
    let mut told = Vec::new();
    let first = trial(&tasks[..1]).rows(&mut told).unwrap();
    let both = trial(&tasks).rows(&mut told).unwrap();
    assert_eq!(told, ["a single", "b single"], "a is not run again");
    assert_eq!(first[0], both[0]);
    let results = out.path().join("results.jsonl");
    let text = std::fs::read_to_string(&results).unwrap();
    std::fs::write(&results, &text[..text.len() - 9]).unwrap();
    let again = trial(&tasks).rows(&mut told).unwrap();
    assert_eq!(told[2..], ["b single"], "its line was cut");
    assert_eq!(again, both, "from its record, and nothing is counted twice");
    std::fs::write(&results, "{\n").unwrap();
    let error = trial(&tasks).rows(&mut told).unwrap_err().to_string();
    assert!(error.contains("results.jsonl:1: not a result"), "{error}");
}

#[test]
fn several_engines_give_the_rows_of_one() {
    let names = ["a", "b", "c"];
    let rows = |n_engines| {
        let out = tempfile::tempdir().unwrap();
        let trial = Trial {
            tasks: &tasks(&names),
            names: &["best-of-n"],
            prefixes: Prefixes::Charge,
            n_engines,
            seeds: &[1],
            out: out.path(),
        };
        let mut rows = trial.rows(&mut Vec::new()).unwrap();
        rows.iter_mut().for_each(EvalRow::forget_times);
        rows
    };
    assert_eq!(rows(2), rows(1));
}

#[test]
fn a_task_that_is_broken_ends_it_and_leaves_the_finished_ones() {
    let out = tempfile::tempdir().unwrap();
    let mut tasks = tasks(&["a", "b"]);
    tasks[1].test_patch = "no patch".to_owned();
    let trial = Trial {
        tasks: &tasks,
        names: &["single"],
        prefixes: Prefixes::Charge,
        n_engines: 1,
        seeds: &[1],
        out: out.path(),
    };
    let mut told = Vec::new();
    let error = trial.rows(&mut told).unwrap_err().to_string();
    assert!(
        error.contains("task b: its test_patch does not apply"),
        "{error}"
    );
    assert_eq!(told, ["a single"]);
    let results = std::fs::read_to_string(out.path().join("results.jsonl")).unwrap();
    assert_eq!(results.lines().count(), 1);
}

#[test]
fn stored_candidates_are_picked_from_again_without_an_engine() {
    let out = tempfile::tempdir().unwrap();
    let trial = Trial {
        tasks: &tasks(&["a"]),
        names: &["best-of-n"],
        prefixes: Prefixes::Charge,
        n_engines: 1,
        seeds: &[1, 2, 3, 4],
        out: out.path(),
    };
    let has_both = |row: &EvalRow| (1..row.candidates.len()).contains(&n_right(row));
    let rows = trial.rows(&mut Vec::new()).unwrap();
    let rows: Vec<EvalRow> = rows.into_iter().filter(has_both).take(1).collect();
    assert_eq!(rows.len(), 1, "one of these seeds draws both edits");
    let (n, right) = (rows[0].candidates.len(), n_right(&rows[0]));
    let rescored = rescore(&rows, &["best-of-n"]);
    let share = |rule: &str| {
        let found = rescored.iter().find(|r| r.rule == rule).expect(rule);
        assert_eq!(found.runs, 1);
        found.right.value
    };
    assert_eq!(share("as run"), f64::from(u8::from(rows[0].resolved)));
    assert_eq!(share("one drawn"), right as f64 / n as f64);
    let first_is_right = rows[0].candidates[0].right;
    assert_eq!(share("the first"), f64::from(u8::from(first_is_right)));
    // One who sees what is right is a rule of his own.
    let mut voted = rows.clone();
    for candidate in &mut voted[0].candidates {
        candidate.seen.score = None;
        candidate.votes = vec![Voted {
            voter: "seer".into(),
            branch: candidate.seen.branch,
            dimensions: Vec::new(),
            total: if candidate.right { 18.0 } else { 0.0 },
            gated: false,
            usage: UsageByPurpose::default(),
        }];
    }
    let rescored = rescore(&voted, &["best-of-n"]);
    let by_seer = rescored.iter().find(|r| r.rule == "tests, then seer");
    assert_eq!(by_seer.map(|r| r.right.value), Some(1.0));
    // Where all are right there is nothing to pick.
    let mut all_right = rows;
    all_right[0]
        .candidates
        .iter_mut()
        .for_each(|c| c.right = true);
    assert_eq!(rescore(&all_right, &["best-of-n"]), []);
}

fn n_right(row: &EvalRow) -> usize {
    row.candidates.iter().filter(|c| c.right).count()
}
