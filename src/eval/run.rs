//! Runs strategies over tasks, one after the other, and judges what comes out.
//! Whatever is on disk already is not done again.
use super::judge::judge;
use super::{EvalError, Task};
use crate::agent::Dialect;
use crate::base::{Budget, Gate, Strategy, UsageByPurpose};
use crate::engine::Engine;
use crate::record::RECORD_FILE;
use crate::search::{Others, RunState, SolveRequest, Tools, Watcher, resume, solve};
use crate::verify::{RunnerLimits, TestRunner};
use crate::workspace::Sandbox;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// One strategy on one task with one seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvalRow {
    pub instance_id: String,
    pub strategy: String,
    pub seed: u64,
    /// Of the strategy, the gate, the budget and the model: rows of others are
    /// not taken for this one's.
    #[serde(default)]
    pub settings: String,
    /// The selected patch passes every hidden test.
    pub resolved: bool,
    /// Some trajectory's patch does.
    pub oracle: bool,
    /// Why the patch could not be judged, or that there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    pub n_trajectories: u32,
    pub n_branches: u32,
    pub n_steps: u32,
    pub usage: UsageByPurpose,
    pub wall_ms: u64,
    /// The selected patch; empty where there is none.
    #[serde(default)]
    pub patch: String,
}

/// What an evaluation is asked to do.
pub struct EvalRequest<'a> {
    pub tasks: &'a [Task],
    pub strategies: &'a [Strategy],
    pub seeds: &'a [u64],
    pub model: &'a str,
    pub budget: Budget,
    pub gate: Option<Gate>,
    /// Holds `results.jsonl` and a run's folder for each row.
    pub out: &'a Path,
}

/// What it works with.
pub struct EvalTools<'a> {
    pub engine: &'a mut dyn Engine,
    /// The models that strategies name as judge or voters.
    pub others: Others<'a>,
    pub dialect: &'a dyn Dialect,
    pub sandbox: &'a Sandbox,
    pub watcher: &'a dyn Watcher,
}

/// Rows on disk, and where new ones go.
struct Results {
    rows: Vec<EvalRow>,
    file: File,
    path: PathBuf,
}

/// Fills in every row that is not there yet. `on_row` sees each finished row,
/// how many are done, and how many there will be.
///
/// A run that was killed is resumed; finished rows are kept whatever happens.
pub fn evaluate(
    request: &EvalRequest<'_>,
    mut tools: EvalTools<'_>,
    on_row: &mut dyn FnMut(&EvalRow, usize, usize),
) -> Result<Vec<EvalRow>, EvalError> {
    std::fs::create_dir_all(request.out)
        .map_err(|e| EvalError::io("make the folder", request.out, e))?;
    let mut results = Results::open(&request.out.join("results.jsonl"))?;
    let n_rows = request.tasks.len() * request.strategies.len() * request.seeds.len();
    let mut wanted = Vec::with_capacity(n_rows);
    for &seed in request.seeds {
        for task in request.tasks {
            for strategy in request.strategies {
                let settings = settings_digest(request, strategy);
                let row = match results.find(task, strategy, seed, &settings) {
                    Some(row) => row.clone(),
                    None => {
                        let row = EvalRow {
                            settings,
                            ..run_one(request, task, strategy, seed, &mut tools)?
                        };
                        results.add(row.clone())?;
                        row
                    }
                };
                wanted.push(row);
                on_row(
                    wanted.last().expect("a row was just added"),
                    wanted.len(),
                    n_rows,
                );
            }
        }
    }
    Ok(wanted)
}

/// Eight hexadecimal digits over all that a result hangs on beside task and seed.
fn settings_digest(request: &EvalRequest<'_>, strategy: &Strategy) -> String {
    let all = (strategy, &request.gate, request.budget, request.model);
    let text = serde_json::to_vec(&all).expect("plain data serialises");
    let digest = Sha256::digest(text);
    digest[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn run_one(
    request: &EvalRequest<'_>,
    task: &Task,
    strategy: &Strategy,
    seed: u64,
    tools: &mut EvalTools<'_>,
) -> Result<EvalRow, EvalError> {
    let run_dir = request.out.join("runs").join(format!(
        "{}-{}-seed{seed}-{}",
        task.instance_id,
        strategy.name,
        settings_digest(request, strategy)
    ));
    // Nobody profits from what another strategy or an earlier seed has paid for.
    tools.engine.forget_prefixes();
    for other in &mut tools.others.0 {
        other.engine.forget_prefixes();
    }
    let search_tools = Tools {
        engine: tools.engine,
        others: tools.others.reborrow(),
        dialect: tools.dialect,
        sandbox: tools.sandbox,
        watcher: tools.watcher,
    };
    let state = if run_dir.join(RECORD_FILE).exists() {
        resume(&run_dir, search_tools)?
    } else {
        let repo = tempfile::tempdir()
            .map_err(|e| EvalError::io("make a folder in", &std::env::temp_dir(), e))?;
        task.materialise(repo.path())?;
        let solve_request = SolveRequest {
            repo: repo.path(),
            issue: &task.problem_statement,
            model: request.model,
            strategy,
            seed,
            budget: request.budget,
            gate: request.gate.clone(),
            test_cmd: None,
        };
        solve(&run_dir, &solve_request, search_tools)?
    };
    judged(task, strategy, seed, &state, tools.sandbox)
}

/// Judges the selected patch, and every other trajectory's for the oracle.
fn judged(
    task: &Task,
    strategy: &Strategy,
    seed: u64,
    state: &RunState,
    sandbox: &Sandbox,
) -> Result<EvalRow, EvalError> {
    let runner = TestRunner::new(sandbox, RunnerLimits::default(), None)?;
    let scratch = tempfile::tempdir()
        .map_err(|e| EvalError::io("make a folder in", &std::env::temp_dir(), e))?;
    let mut verdicts: HashMap<&str, (bool, Option<String>)> = HashMap::new();
    let trajectories = state.trajectories();
    for ended in &trajectories {
        if !verdicts.contains_key(ended.patch.as_str()) {
            let verdict = judge(task, &ended.patch, &runner, scratch.path())?;
            verdicts.insert(&ended.patch, (verdict.resolved, verdict.fault));
        }
    }
    let selected = state.selected.as_ref().and_then(|selected| selected.branch);
    let patch = trajectories
        .iter()
        .find(|ended| Some(ended.branch) == selected)
        .map(|ended| ended.patch.as_str());
    let (resolved, fault) = patch
        .and_then(|patch| verdicts.get(patch).cloned())
        .unwrap_or((false, Some("the run left no patch".into())));
    Ok(EvalRow {
        instance_id: task.instance_id.clone(),
        strategy: strategy.name.clone(),
        seed,
        settings: String::new(),
        resolved,
        oracle: verdicts.values().any(|(resolved, _)| *resolved),
        fault,
        n_trajectories: trajectories.len() as u32,
        n_branches: state.branches.len() as u32,
        n_steps: state.steps.len() as u32,
        usage: state.usage,
        wall_ms: state.wall_ms,
        patch: patch.unwrap_or_default().to_owned(),
    })
}

impl Results {
    fn open(path: &Path) -> Result<Self, EvalError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(EvalError::io("read", path, error)),
        };
        // A line that a kill cut short is no row: that run is resumed.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let rows = text[..whole]
            .lines()
            .enumerate()
            .map(|(index, line)| {
                serde_json::from_str(line).map_err(|source| EvalError::Results {
                    path: path.to_owned(),
                    line: index + 1,
                    source,
                })
            })
            .collect::<Result<_, _>>()?;
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .map_err(|e| EvalError::io("open", path, e))?;
        file.set_len(whole as u64)
            .map_err(|e| EvalError::io("cut", path, e))?;
        Ok(Self {
            rows,
            file,
            path: path.to_owned(),
        })
    }

    fn find(
        &self,
        task: &Task,
        strategy: &Strategy,
        seed: u64,
        settings: &str,
    ) -> Option<&EvalRow> {
        self.rows.iter().find(|row| {
            row.instance_id == task.instance_id
                && row.strategy == strategy.name
                && row.seed == seed
                && row.settings == settings
        })
    }

    fn add(&mut self, row: EvalRow) -> Result<(), EvalError> {
        let mut line = serde_json::to_string(&row).expect("plain data serialises");
        line.push('\n');
        self.file
            .write_all(line.as_bytes())
            .and_then(|()| self.file.sync_data())
            .map_err(|e| EvalError::io("write", &self.path, e))?;
        self.rows.push(row);
        Ok(())
    }
}
