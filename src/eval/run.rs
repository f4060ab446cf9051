//! Runs strategies over tasks, some tasks side by side, and judges what comes out.
//! Whatever is on disk already is not done again.
use super::candidate::JudgedCandidate;
use super::judge::judge;
use super::{EvalError, Task};
use crate::agent::Dialect;
use crate::base::{BranchId, Budget, Gate, Purpose, Strategy, UsageByPurpose};
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
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};

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
    /// The trajectory whose patch was selected.
    pub selected: Option<BranchId>,
    /// Every trajectory with a patch.
    pub candidates: Vec<JudgedCandidate>,
}

impl EvalRow {
    /// The selected patch; empty where there is none.
    pub fn patch(&self) -> &str {
        let mut candidates = self.candidates.iter().map(|candidate| &candidate.seen);
        let selected = candidates.find(|seen| Some(seen.branch) == self.selected);
        selected.map_or("", |seen| &seen.patch)
    }

    /// Two rows of the same run differ in nothing else.
    pub fn forget_times(&mut self) {
        self.wall_ms = 0;
        for purpose in Purpose::ALL {
            self.usage[purpose].wall_ms = 0;
        }
    }
}

/// What an evaluation is asked to do.
pub struct EvalRequest<'a> {
    pub tasks: &'a [Task],
    pub strategies: &'a [Strategy],
    pub seeds: &'a [u64],
    pub model: &'a str,
    pub budget: Budget,
    pub gate: Option<Gate>,
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
/// taken. A run that was killed is resumed; finished rows are kept whatever happens.
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
    let mut results = Results::open(&request.out.join("results.jsonl"))?;
    let all = request.runs();
    let missing: Vec<&Run<'_>> = all
        .iter()
        .filter(|run| results.find(run).is_none())
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
            .filter_map(|run| results.find(run).cloned())
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

impl EvalWorker<'_> {
    fn run(&mut self, request: &EvalRequest<'_>, run: &Run<'_>) -> Result<EvalRow, EvalError> {
        let run_dir = request.out.join("runs").join(run.name());
        self.begin(request.prefixes);
        let tools = Tools {
            engine: self.engine,
            others: self.others.reborrow(),
            dialect: self.dialect,
            sandbox: self.sandbox,
            watcher: self.watcher,
        };
        let state = if run_dir.join(RECORD_FILE).exists() {
            resume(&run_dir, tools)?
        } else {
            let repo = tempfile::tempdir()
                .map_err(|e| EvalError::io("make a folder in", &std::env::temp_dir(), e))?;
            run.task.materialise(repo.path())?;
            let solve_request = SolveRequest {
                repo: repo.path(),
                issue: &run.task.problem_statement,
                model: request.model,
                strategy: run.strategy,
                seed: run.seed,
                budget: request.budget,
                gate: request.gate.clone(),
                test_cmd: None,
            };
            solve(&run_dir, &solve_request, tools)?
        };
        judged(run, &state, self.sandbox)
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
        let Self {
            task,
            strategy,
            seed,
            settings,
        } = self;
        let (task, strategy) = (&task.instance_id, &strategy.name);
        format!("{task}-{strategy}-seed{seed}-{settings}")
    }

    fn is_row(&self, row: &EvalRow) -> bool {
        row.instance_id == self.task.instance_id
            && row.strategy == self.strategy.name
            && row.seed == self.seed
            && row.settings == self.settings
    }
}

/// Judges the selected patch, and every other trajectory's for the oracle.
fn judged(run: &Run<'_>, state: &RunState, sandbox: &Sandbox) -> Result<EvalRow, EvalError> {
    let runner = TestRunner::new(sandbox, RunnerLimits::default(), None)?;
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

/// Rows on disk, and where new ones go.
struct Results {
    rows: Vec<EvalRow>,
    file: File,
    path: PathBuf,
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

    fn find(&self, run: &Run<'_>) -> Option<&EvalRow> {
        self.rows.iter().find(|row| run.is_row(row))
    }

    fn add(&mut self, row: EvalRow) -> Result<&EvalRow, EvalError> {
        let mut line = serde_json::to_string(&row).expect("plain data serialises");
        line.push('\n');
        self.file
            .write_all(line.as_bytes())
            .and_then(|()| self.file.sync_data())
            .map_err(|e| EvalError::io("write", &self.path, e))?;
        self.rows.push(row);
        Ok(self.rows.last().expect("it was just added"))
    }
}
