//! Runs strategies over tasks, some tasks side by side, and judges what comes out.
//! Whatever is on disk already is not done again.
use super::candidate::JudgedCandidate;
use super::cannot_run::CannotRun;
use super::grader::{Grader, Place};
use super::judge::Verdict;
use super::results::{RESULTS_FILE, Results};
use super::row::{EvalRow, run_name};
use super::summary::Compared;
use super::{EvalError, Task};
use crate::agent::Dialect;
use crate::base::{AgentProfile, BranchId, Budget, FixedPatch, Gates, Strategy, UsageByPurpose};
use crate::engine::Engine;
use crate::record::{RECORD_FILE, read_record};
use crate::search::{Others, RunState, SolveRequest, Tools, Watcher, end_anew, solve};
use crate::verify::OwnTests;
use crate::workspace::Sandbox;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::Instant;

/// What an evaluation is asked to do.
pub struct EvalRequest<'a> {
    pub tasks: &'a [Task],
    pub strategies: &'a [Strategy],
    /// Patches to judge beside those that strategies come to, once a task.
    pub fixed: &'a [FixedPatch],
    pub grader: Grader<'a>,
    pub seeds: &'a [u64],
    pub model: &'a str,
    pub budget: Budget,
    /// Of the model.
    pub gates: Gates,
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
    /// For commands of a task without an environment of its own.
    pub sandbox: &'a Sandbox,
    pub watcher: &'a (dyn Watcher + Sync),
    /// `None` where nothing is searched for.
    pub solver: Option<Solver<'a>>,
}

/// A model that searches for a patch, and its tools.
pub struct Solver<'a> {
    pub engine: &'a mut (dyn Engine + Send),
    /// The models that strategies name as judge or voters.
    pub others: Others<'a>,
    pub dialect: &'a (dyn Dialect + Sync),
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

/// The outcome of one run.
pub enum EvalDone<'a> {
    Row(&'a EvalRow),
    NotRun(&'a NotRun),
}

/// A run that could not be made, and is no result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotRun {
    pub instance_id: String,
    pub strategy: String,
    pub seed: u64,
    /// A sentence.
    pub why: String,
}

/// The outcome of an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated {
    /// Every row that was asked for and is there.
    pub rows: Vec<EvalRow>,
    /// The rest. They are tried again by the next call.
    pub not_run: Vec<NotRun>,
}

/// One row to be: what is run.
struct Run<'a> {
    task: &'a Task,
    by: By<'a>,
    seed: u64,
    settings: String,
}

/// The source of a run's patches.
#[derive(Clone, Copy)]
enum By<'a> {
    Search(&'a Strategy),
    Fixed(FixedPatch),
}

impl By<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Search(strategy) => &strategy.name,
            Self::Fixed(patch) => patch.name(),
        }
    }
}

/// Fills in every row that is not there yet; `on_done` sees each new one, and each run that
/// could not be made. Gives all rows that were asked for.
///
/// A worker takes a task and does all its runs, then the next task that nobody has
/// taken. Finished rows are kept whatever happens. A run that was killed is begun anew:
/// what a resumed one computes a second time would be charged to its strategy. A finished
/// run of which only the stop rule or the way to pick is asked for otherwise is ended
/// anew from its record, as far as that asks no model.
/// After an error the other workers end the run in hand, and the first error is told.
/// Panics if there is no worker, or none that can search where a strategy asks for it.
pub fn evaluate(
    request: &EvalRequest<'_>,
    workers: Vec<EvalWorker<'_>>,
    on_done: &mut dyn FnMut(EvalDone<'_>, EvalProgress),
) -> Result<Evaluated, EvalError> {
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
    let (mut first_error, mut not_run) = (None, Vec::new());
    std::thread::scope(|scope| {
        for mut worker in workers {
            let (sender, queue, is_over) = (sender.clone(), &queue, &is_over);
            scope.spawn(move || {
                let next = || queue.lock().expect("nobody panics with it").next();
                for runs in std::iter::from_fn(next) {
                    let mut place = None;
                    for run in runs {
                        if is_over.load(Ordering::Relaxed) {
                            return;
                        }
                        let done = worker.done(request, run, &mut place);
                        // The receiver is gone where there was an error.
                        if sender.send(done).is_err() {
                            return;
                        }
                    }
                }
            });
        }
        drop(sender);
        for done in done {
            let added = done.and_then(|done| match done {
                Done::Row(row) => results.add(*row).map(EvalDone::Row),
                Done::NotRun(why) => {
                    not_run.push(why);
                    Ok(EvalDone::NotRun(not_run.last().expect("it was just added")))
                }
            });
            match added {
                Ok(done) => {
                    progress.n_done += 1;
                    progress.n_new += 1;
                    on_done(done, progress);
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
        None => {
            let rows = all.iter().filter_map(|run| run.row_in(&results.rows));
            Ok(Evaluated {
                rows: rows.cloned().collect(),
                not_run,
            })
        }
    }
}

/// A worker's message.
enum Done {
    Row(Box<EvalRow>),
    NotRun(NotRun),
}

impl<'a> EvalRequest<'a> {
    /// All runs, those of a task together.
    fn runs(&self) -> Vec<Run<'a>> {
        let mut all = Vec::new();
        for task in self.tasks {
            all.extend(self.fixed.iter().map(|&patch| Run {
                task,
                by: By::Fixed(patch),
                seed: 0,
                settings: digest_of(self.grader.name().as_bytes()),
            }));
            for &seed in self.seeds {
                all.extend(self.strategies.iter().map(|strategy| Run {
                    task,
                    by: By::Search(strategy),
                    seed,
                    settings: settings_digest(self, strategy),
                }));
            }
        }
        all
    }

    /// All that rows are of, in the order of tables.
    pub fn compared(&self) -> Vec<Compared<'a>> {
        let fixed = self.fixed.iter().map(|patch| Compared {
            name: patch.name(),
            n: 1,
        });
        let searches = self.strategies.iter().map(Compared::from);
        fixed.chain(searches).collect()
    }
}

/// Hexadecimal digits of a digest of settings.
const SETTINGS_DIGITS: usize = 8;

/// A few hexadecimal digits over all that a result hangs on beside task and seed.
fn settings_digest(request: &EvalRequest<'_>, strategy: &Strategy) -> String {
    let gate = strategy.gate(&request.gates);
    let all = (strategy, gate, request.budget, request.model);
    let mut text = serde_json::to_vec(&all).expect("plain data serialises");
    // Rows from before there were profiles are of this one.
    if *request.profile != AgentProfile::small() {
        text.extend(serde_json::to_vec(request.profile).expect("plain data serialises"));
    }
    // As do rows from before there was another grader.
    if !matches!(request.grader, Grader::Own) {
        text.extend(request.grader.name().as_bytes());
    }
    digest_of(&text)
}

fn digest_of(text: &[u8]) -> String {
    let digest = Sha256::digest(text);
    digest[..SETTINGS_DIGITS / 2]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

impl EvalWorker<'_> {
    /// Makes one run in its task's place, which is made at the task's first.
    fn done<'a>(
        &mut self,
        request: &EvalRequest<'a>,
        run: &Run<'a>,
        place: &mut Option<Result<Place<'a>, CannotRun>>,
    ) -> Result<Done, EvalError> {
        let watcher = self.watcher;
        watcher.run(&run.shown(request.seeds.len()));
        let on_step = &mut |step: &str| watcher.stage(step);
        let place = match place {
            Some(place) => place,
            None => place.insert(request.grader.place(run.task, self.sandbox, on_step)?),
        };
        let place = match place {
            Ok(place) => place,
            Err(CannotRun(why)) => {
                return Ok(Done::NotRun(NotRun {
                    instance_id: run.task.instance_id.clone(),
                    strategy: run.by.name().to_owned(),
                    seed: run.seed,
                    why: why.clone(),
                }));
            }
        };
        let logs = request.out.join("grading").join(run.name());
        let row = match run.by {
            By::Fixed(patch) => {
                let patch = run.task.fixed(patch);
                fixed_row(run, patch, place.judge(patch, &log_of(&logs, 0), on_step)?)
            }
            By::Search(strategy) => {
                let solver = self.solver.as_mut().expect("a strategy has a model");
                let state = solver.state(request, run, strategy, place, watcher)?;
                judged(run, &state, place, &logs, on_step)?
            }
        };
        Ok(Done::Row(Box::new(row)))
    }
}

impl Solver<'_> {
    /// A run of a strategy, made now or found on disk.
    fn state(
        &mut self,
        request: &EvalRequest<'_>,
        run: &Run<'_>,
        strategy: &Strategy,
        place: &Place<'_>,
        watcher: &dyn Watcher,
    ) -> Result<RunState, EvalError> {
        let run_dir = request.out.join("runs").join(run.name());
        let solve_request = SolveRequest {
            repo: place.repo(),
            issue: &run.task.problem_statement,
            model: request.model,
            device: self.device,
            strategy,
            seed: run.seed,
            budget: request.budget,
            gates: request.gates.clone(),
            profile: request.profile,
            own_tests: OwnTests::default(),
            environment: place.environment(),
            index_dir: None,
        };
        let on = (place.sandbox(), watcher);
        if let Some(ended) = ended_run(&run_dir)? {
            return Ok(ended);
        }
        if let Some(ended) = self.ended_anew(request, run, &solve_request, &run_dir, on)? {
            return Ok(ended);
        }
        self.begin(request.prefixes);
        Ok(solve(&run_dir, &solve_request, self.tools(on))?)
    }

    fn tools<'b>(&'b mut self, (sandbox, watcher): Surroundings<'b>) -> Tools<'b> {
        Tools {
            engine: self.engine,
            others: self.others.reborrow(),
            dialect: self.dialect,
            sandbox,
            watcher,
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
        on: Surroundings<'_>,
    ) -> Result<Option<RunState>, EvalError> {
        let (task, strategy) = (&run.task.instance_id, run.by.name());
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
                let ended = end_anew(&entry.path(), run_dir, solve_request, self.tools(on))?;
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
        let (task, strategy) = (&self.task.instance_id, self.by.name());
        run_name(task, strategy, self.seed, &self.settings)
    }

    /// Of what is said of it as it goes on.
    fn shown(&self, n_seeds: usize) -> String {
        let (task, strategy) = (&self.task.instance_id, self.by.name());
        match n_seeds {
            1 => format!("{task} {strategy}"),
            _ => format!("{task} {strategy}, seed {}", self.seed),
        }
    }

    fn row_in<'a>(&self, rows: &'a [EvalRow]) -> Option<&'a EvalRow> {
        rows.iter().find(|row| {
            row.instance_id == self.task.instance_id
                && row.strategy == self.by.name()
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
        if state.ended.is_some() {
            return Ok(Some(state));
        }
    }
    std::fs::remove_dir_all(run_dir).map_err(|e| EvalError::io("remove", run_dir, e))?;
    Ok(None)
}

/// The sandbox and the watcher of a run.
type Surroundings<'a> = (&'a Sandbox, &'a dyn Watcher);

/// The file for the hidden tests' output on a patch, by its number among a run's.
fn log_of(logs: &Path, index: usize) -> PathBuf {
    logs.join(format!("{index}.log"))
}

/// The row of a patch that was known before.
fn fixed_row(run: &Run<'_>, patch: &str, verdict: Verdict) -> EvalRow {
    let branch = BranchId(0);
    EvalRow {
        instance_id: run.task.instance_id.clone(),
        strategy: run.by.name().to_owned(),
        seed: run.seed,
        settings: run.settings.clone(),
        resolved: verdict.resolved,
        oracle: verdict.resolved,
        fault: verdict.fault,
        n_trajectories: 1,
        n_branches: 0,
        n_steps: 0,
        usage: UsageByPurpose::default(),
        wall_ms: 0,
        selected: Some(branch),
        candidates: vec![JudgedCandidate::known(
            branch,
            patch,
            verdict.failed,
            verdict.resolved,
        )],
    }
}

/// Judges the selected patch, and every other trajectory's for the oracle.
fn judged(
    run: &Run<'_>,
    state: &RunState,
    place: &Place<'_>,
    logs: &Path,
    on_step: &mut dyn FnMut(&str),
) -> Result<EvalRow, EvalError> {
    let mut verdicts: HashMap<&str, Verdict> = HashMap::new();
    let trajectories = state.trajectories();
    for ended in &trajectories {
        if !verdicts.contains_key(ended.patch.as_str()) {
            let log = log_of(logs, verdicts.len());
            verdicts.insert(&ended.patch, place.judge(&ended.patch, &log, on_step)?);
        }
    }
    let verdict_on = |branch: BranchId| {
        let ended = trajectories.iter().find(|ended| ended.branch == branch)?;
        verdicts.get(ended.patch.as_str())
    };
    let candidates = JudgedCandidate::all(state, verdict_on);
    let selected = state.selected.as_ref().and_then(|selected| selected.branch);
    let (resolved, fault) = match selected.and_then(verdict_on) {
        Some(verdict) => (verdict.resolved, verdict.fault.clone()),
        None => (false, Some("the run left no patch".into())),
    };
    Ok(EvalRow {
        instance_id: run.task.instance_id.clone(),
        strategy: run.by.name().to_owned(),
        seed: run.seed,
        settings: run.settings.clone(),
        resolved,
        oracle: candidates.iter().any(|candidate| candidate.right),
        fault,
        n_trajectories: trajectories.len() as u32,
        n_branches: state.branches.len() as u32,
        n_steps: state.steps.len() as u32,
        usage: state.usage,
        wall_ms: state.wall_ms(),
        selected,
        candidates,
    })
}
