//! Runs strategies over tasks, some tasks side by side, and judges what comes out.
//! Whatever is on disk already is not done again.
use super::candidate::JudgedCandidate;
use super::judge::{hidden_runner, judge};
use super::results::{RESULTS_FILE, Results};
use super::row::{EvalRow, run_name};
use super::{EvalError, Task};
use crate::agent::Dialect;
use crate::base::{AgentProfile, BranchId, Budget, Gate, Strategy};
use crate::engine::Engine;
use crate::record::{RECORD_FILE, read_record};
use crate::search::{Others, RunState, SolveRequest, Tools, Watcher, end_anew, solve};
use crate::verify::OwnTests;
use crate::workspace::Sandbox;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::Instant;

/// What an evaluation is asked to do.
pub struct EvalRequest<'a> {
    pub tasks: &'a [Task],
    pub strategies: &'a [Strategy],
    pub seeds: &'a [u64],
    pub model: &'a str,
    pub budget: Budget,
    pub gate: Option<Gate>,
    pub profile: &'a AgentProfile,
    pub prefixes: Prefixes,
    /// Holds `results.jsonl` and a run's folder for each row.
    pub out: &'a Path,
}

/// How it is seen to that no run profits from what another has paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefixes {
    /// Each run begins with an empty prefix cache.
    Forget,
    /// What runs have in common is computed once and charged to each of them: the
    /// same counts, in less time. Times then say nothing of a strategy.
    Charge,
}

/// What works on a task at a time.
pub struct EvalWorker<'a> {
    pub engine: &'a mut (dyn Engine + Send),
    /// The models that strategies name as judge or voters.
    pub others: Others<'a>,
    pub dialect: &'a (dyn Dialect + Sync),
    pub sandbox: &'a Sandbox,
    pub watcher: &'a (dyn Watcher + Sync),
    /// Where the model runs, for the record.
    pub device: &'a str,
}

/// How far an evaluation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvalProgress {
    /// Rows that are there, those of earlier calls included.
    pub n_done: usize,
    /// Rows that this call has added.
    pub n_new: usize,
    pub n_rows: usize,
}

/// One row to be: what is run.
struct Run<'a> {
    task: &'a Task,
    strategy: &'a Strategy,
    seed: u64,
    settings: String,
}

/// Fills in every row that is not there yet; `on_row` sees each new one. Gives all
/// rows that were asked for.
///
/// A worker takes a task and does all its runs, then the next task that nobody has
/// taken. Finished rows are kept whatever happens. A run that was killed is begun anew:
/// what a resumed one computes a second time would be charged to its strategy. A finished
/// run of which only the stop rule or the way to pick is asked for otherwise is ended
/// anew from its record, as far as that asks no model.
/// After an error the other workers end the run in hand, and the first error is told.
/// Panics if there is no worker.
pub fn evaluate(
    request: &EvalRequest<'_>,
    workers: Vec<EvalWorker<'_>>,
    on_row: &mut dyn FnMut(&EvalRow, EvalProgress),
) -> Result<Vec<EvalRow>, EvalError> {
    assert!(!workers.is_empty(), "somebody has to work");
    std::fs::create_dir_all(request.out)
        .map_err(|e| EvalError::io("make the folder", request.out, e))?;
    let mut results = Results::open(&request.out.join(RESULTS_FILE))?;
    let all = request.runs();
    let missing: Vec<&Run<'_>> = all
        .iter()
        .filter(|run| run.row_in(&results.rows).is_none())
        .collect();
    let mut progress = EvalProgress {
        n_done: all.len() - missing.len(),
        n_new: 0,
        n_rows: all.len(),
    };
    // A task's runs stay together: they have the most in common.
    let queue = Mutex::new(missing.chunk_by(|a, b| std::ptr::eq(a.task, b.task)));
    let is_over = AtomicBool::new(false);
    let (sender, done) = mpsc::channel();
    let mut first_error = None;
    std::thread::scope(|scope| {
        for mut worker in workers {
            let (sender, queue, is_over) = (sender.clone(), &queue, &is_over);
            scope.spawn(move || {
                let next = || queue.lock().expect("nobody panics with it").next();
                for run in std::iter::from_fn(next).flatten() {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    let row = worker.run(request, run);
                    // Who listens no more has seen an error.
                    if sender.send(row).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for row in done {
            let added = row.and_then(|row| results.add(row));
            match added {
                Ok(row) => {
                    progress.n_done += 1;
                    progress.n_new += 1;
                    on_row(row, progress);
                }
                Err(error) => {
                    is_over.store(true, Ordering::Relaxed);
                    first_error.get_or_insert(error);
                }
            }
        }
    });
    match first_error {
        Some(error) => Err(error),
        None => Ok(all
            .iter()
            .filter_map(|run| run.row_in(&results.rows).cloned())
            .collect()),
    }
}

impl EvalRequest<'_> {
    /// All runs, those of a task together.
    fn runs(&self) -> Vec<Run<'_>> {
        let mut all = Vec::new();
        for task in self.tasks {
            for &seed in self.seeds {
                all.extend(self.strategies.iter().map(|strategy| Run {
                    task,
                    strategy,
                    seed,
                    settings: settings_digest(self, strategy),
                }));
            }
        }
        all
    }
}

/// Hexadecimal digits of a digest of settings.
const SETTINGS_DIGITS: usize = 8;

/// A few hexadecimal digits over all that a result hangs on beside task and seed.
fn settings_digest(request: &EvalRequest<'_>, strategy: &Strategy) -> String {
    let all = (strategy, &request.gate, request.budget, request.model);
    let mut text = serde_json::to_vec(&all).expect("plain data serialises");
    // Rows from before there were profiles are of this one.
    if *request.profile != AgentProfile::small() {
        text.extend(serde_json::to_vec(request.profile).expect("plain data serialises"));
    }
    let digest = Sha256::digest(text);
    digest[..SETTINGS_DIGITS / 2]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

impl EvalWorker<'_> {
    fn run(&mut self, request: &EvalRequest<'_>, run: &Run<'_>) -> Result<EvalRow, EvalError> {
        let run_dir = request.out.join("runs").join(run.name());
        let repo = tempfile::tempdir()
            .map_err(|e| EvalError::io("make a folder in", &std::env::temp_dir(), e))?;
        let solve_request = SolveRequest {
            repo: repo.path(),
            issue: &run.task.problem_statement,
            model: request.model,
            device: self.device,
            strategy: run.strategy,
            seed: run.seed,
            budget: request.budget,
            gate: request.gate.clone(),
            profile: request.profile,
            own_tests: OwnTests::default(),
        };
        let state = match ended_run(&run_dir)? {
            Some(ended) => ended,
            None => match self.ended_anew(request, run, &solve_request, &run_dir)? {
                Some(ended) => ended,
                None => {
                    run.task.materialise(repo.path())?;
                    self.begin(request.prefixes);
                    solve(&run_dir, &solve_request, self.tools())?
                }
            },
        };
        judged(run, &state, self.sandbox)
    }

    fn tools(&mut self) -> Tools<'_> {
        Tools {
            engine: self.engine,
            others: self.others.reborrow(),
            dialect: self.dialect,
            sandbox: self.sandbox,
            watcher: self.watcher,
            began: Instant::now(),
        }
    }

    /// An earlier run of the same search that only ended or was picked from otherwise:
    /// nothing of it is decoded again.
    fn ended_anew(
        &mut self,
        request: &EvalRequest<'_>,
        run: &Run<'_>,
        solve_request: &SolveRequest<'_>,
        run_dir: &Path,
    ) -> Result<Option<RunState>, EvalError> {
        let (task, strategy) = (&run.task.instance_id, &run.strategy.name);
        let alike = run_name(task, strategy, run.seed, "");
        let runs = request.out.join("runs");
        let entries = match std::fs::read_dir(&runs) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            entries => entries.map_err(|e| EvalError::io("list", &runs, e))?,
        };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_settings = |rest: &str| rest.len() == SETTINGS_DIGITS;
            if name.strip_prefix(&alike).is_some_and(is_settings) && entry.path() != run_dir {
                // A record that cannot be read is of no help.
                if read_record(&entry.path().join(RECORD_FILE)).is_err() {
                    continue;
                }
                self.begin(request.prefixes);
                let ended = end_anew(&entry.path(), run_dir, solve_request, self.tools())?;
                if ended.is_some() {
                    return Ok(ended);
                }
            }
        }
        Ok(None)
    }

    /// Nobody profits from what another strategy or an earlier seed has paid for.
    fn begin(&mut self, prefixes: Prefixes) {
        let others = self.others.0.iter_mut().map(|other| &mut other.engine);
        for engine in std::iter::once(&mut self.engine).chain(others) {
            match prefixes {
                Prefixes::Forget => engine.forget_prefixes(),
                Prefixes::Charge => engine.new_bill(),
            }
        }
    }
}

impl Run<'_> {
    /// Of its folder.
    fn name(&self) -> String {
        let (task, strategy) = (&self.task.instance_id, &self.strategy.name);
        run_name(task, strategy, self.seed, &self.settings)
    }

    fn row_in<'a>(&self, rows: &'a [EvalRow]) -> Option<&'a EvalRow> {
        rows.iter().find(|row| {
            row.instance_id == self.task.instance_id
                && row.strategy == self.strategy.name
                && row.seed == self.seed
                && row.settings == self.settings
        })
    }
}

/// The run in a folder, if it has come to its end; what is left of another is removed.
fn ended_run(run_dir: &Path) -> Result<Option<RunState>, EvalError> {
    if !run_dir.exists() {
        return Ok(None);
    }
    if let Ok((lines, _)) = read_record(&run_dir.join(RECORD_FILE)) {
        let state = RunState::of_record(&lines);
        if state.ended {
            return Ok(Some(state));
        }
    }
    std::fs::remove_dir_all(run_dir).map_err(|e| EvalError::io("remove", run_dir, e))?;
    Ok(None)
}

/// Judges the selected patch, and every other trajectory's for the oracle.
fn judged(run: &Run<'_>, state: &RunState, sandbox: &Sandbox) -> Result<EvalRow, EvalError> {
    let runner = hidden_runner(run.task, sandbox)?;
    let scratch = tempfile::tempdir()
        .map_err(|e| EvalError::io("make a folder in", &std::env::temp_dir(), e))?;
    let mut verdicts: HashMap<&str, (bool, Option<String>)> = HashMap::new();
    let trajectories = state.trajectories();
    for ended in &trajectories {
        if !verdicts.contains_key(ended.patch.as_str()) {
            let verdict = judge(run.task, &ended.patch, &runner, scratch.path())?;
            verdicts.insert(&ended.patch, (verdict.resolved, verdict.fault));
        }
    }
    let is_right = |branch: BranchId| {
        let mut ended = trajectories.iter().filter(|ended| ended.branch == branch);
        ended.any(|ended| verdicts[ended.patch.as_str()].0)
    };
    let candidates = JudgedCandidate::all(state, is_right);
    let selected = state.selected.as_ref().and_then(|selected| selected.branch);
    let (resolved, fault) = trajectories
        .iter()
        .find(|ended| Some(ended.branch) == selected)
        .map(|ended| verdicts[ended.patch.as_str()].clone())
        .unwrap_or((false, Some("the run left no patch".into())));
    Ok(EvalRow {
        instance_id: run.task.instance_id.clone(),
        strategy: run.strategy.name.clone(),
        seed: run.seed,
        settings: run.settings.clone(),
        resolved,
        oracle: candidates.iter().any(|candidate| candidate.right),
        fault,
        n_trajectories: trajectories.len() as u32,
        n_branches: state.branches.len() as u32,
        n_steps: state.steps.len() as u32,
        usage: state.usage,
        wall_ms: state.wall_ms,
        selected,
        candidates,
    })
}
