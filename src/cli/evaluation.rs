//! What `egss eval` and `egss calibrate` share: tasks, and workers to run them.
use super::common::ModelArgs;
use super::dialect::dialect;
use super::drafts::DraftArgs;
use super::image::whole_name;
use super::runs_watch::RunsWatcher;
use super::sandbox::SandboxArgs;
use super::strategy::OpenedOthers;
use super::watch::TerminalWatcher;
use super::{heading, out, values};
use crate::eval::{
    EvalDone, EvalProgress, EvalRequest, EvalWorker, Evaluated, Prefixes, Solver, Task, evaluate,
    read_tasks,
};
use crate::search::Watcher;
use anyhow::bail;
use clap::Args;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The tasks.
#[derive(Args)]
pub struct TaskArgs {
    /// Task files in SWE-bench's schema, one JSON object a line.
    #[arg(
        long,
        required = true,
        num_args = 1..,
        value_name = "FILE",
        help_heading = heading::INPUT
    )]
    tasks: Vec<PathBuf>,
    /// Only the first N tasks of each file.
    #[arg(
        long,
        value_name = "N",
        help_heading = heading::INPUT,
        value_parser = values::positive::<usize>
    )]
    first: Option<usize>,
    /// Only the tasks of these ids.
    #[arg(long, value_delimiter = ',', value_name = "ID", help_heading = heading::INPUT)]
    only: Vec<String>,
    /// Folder with clones of the tasks' repositories, as OWNER/NAME or OWNER__NAME
    ///
    /// A name may end in .git; tasks with inline files need no clone.
    #[arg(long, value_name = "DIR", help_heading = heading::INPUT)]
    mirrors: Option<PathBuf>,
}

/// Images in which tasks run.
#[derive(Args)]
pub struct ImageArg {
    /// Container image of the code under test, for tasks that name none
    ///
    /// It is a name that Docker or Podman knows, or an archive of an image's files; `{id}` in it is
    /// the task's id in lower case, with `_1776_` for `__`, as SWE-bench names its images.
    #[arg(long, value_name = "IMAGE", help_heading = heading::INPUT)]
    pub image: Option<String>,
}

impl ImageArg {
    /// Names an image to each task that has none.
    pub fn put_into(&self, tasks: &mut [Task]) -> anyhow::Result<()> {
        let Some(image) = &self.image else {
            return Ok(());
        };
        for task in tasks.iter_mut().filter(|task| task.image.is_none()) {
            let id = task.instance_id.to_lowercase().replace("__", "_1776_");
            task.image = Some(whole_name(&image.replace("{id}", &id))?);
        }
        Ok(())
    }
}

/// Seeds, and runs at a time.
#[derive(Args)]
pub struct WorkArgs {
    /// Run each task N times, with the seeds 0 to N - 1.
    #[arg(
        long,
        default_value_t = 1,
        value_name = "N",
        help_heading = heading::SEARCH,
        value_parser = values::positive::<u64>
    )]
    seeds: u64,
    /// Tasks at the same time, their steps in one batch
    ///
    /// They are fewer if memory does not hold as
    /// many KV caches.
    #[arg(
        long,
        default_value_t = 4,
        value_name = "N",
        help_heading = heading::BUDGET,
        value_parser = values::positive::<usize>
    )]
    batch: usize,
    /// One run at a time, each from an empty cache, so that times can be compared
    ///
    /// The counts of tokens are the same as without.
    #[arg(long, help_heading = heading::BUDGET)]
    alone: bool,
    #[command(flatten)]
    drafts: DraftArgs,
    /// Print every step of every run, one run at a time.
    #[arg(long, help_heading = heading::OUTPUT)]
    verbose: bool,
}

impl TaskArgs {
    pub fn read(&self) -> anyhow::Result<Vec<Task>> {
        let mut tasks: Vec<Task> = Vec::new();
        for path in &self.tasks {
            let all = read_tasks(path)?;
            for mut task in all.into_iter().take(self.first.unwrap_or(usize::MAX)) {
                if !self.only.is_empty() && !self.only.contains(&task.instance_id) {
                    continue;
                }
                if tasks.iter().any(|t| t.instance_id == task.instance_id) {
                    bail!("{} is in more than one of the --tasks", task.instance_id);
                }
                task.locate(self.mirrors.as_deref())?;
                if let Some(release) = &task.stands_on {
                    out::note(&format!(
                        "{} stands on {release}, not on its own base commit",
                        task.instance_id
                    ));
                }
                tasks.push(task);
            }
        }
        let is_there = |id: &&String| tasks.iter().any(|task| task.instance_id == **id);
        if let Some(missing) = self.only.iter().find(|id| !is_there(id)) {
            bail!("there is no task {missing} in {}", self.sources());
        }
        Ok(tasks)
    }

    /// The task files by name, in a clause.
    pub fn sources(&self) -> String {
        let names: Vec<_> = (self.tasks.iter())
            .filter_map(|path| path.file_name())
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        names.join(", ")
    }
}

impl WorkArgs {
    pub fn seeds(&self) -> Vec<u64> {
        (0..self.seeds).collect()
    }

    pub fn prefixes(&self) -> Prefixes {
        match self.alone {
            true => Prefixes::Forget,
            false => Prefixes::Charge,
        }
    }

    /// Opens what is needed and runs what is missing, with a line for each run.
    pub fn run(
        &self,
        request: &EvalRequest<'_>,
        model: &ModelArgs,
        sandbox: &SandboxArgs,
    ) -> anyhow::Result<Evaluated> {
        let n_workers = match self.alone || self.verbose {
            true => 1,
            false => self.batch,
        };
        let mut sandbox = sandbox.open(Path::new("."))?;
        if n_workers > 1 {
            sandbox = sandbox.beside_work();
        }
        let n_workers = match request.strategies.is_empty() {
            true => 1,
            false => n_workers,
        };
        let shown = match self.verbose {
            true => Shown::Steps(TerminalWatcher::new()),
            false => Shown::Runs(RunsWatcher::new(n_workers)),
        };
        let watchers = shown.of_each(n_workers);
        let started = Instant::now();
        let mut on_done = |done: EvalDone<'_>, progress| shown.say(&told(done, progress, started));
        if request.strategies.is_empty() {
            let worker = EvalWorker {
                sandbox: &sandbox,
                watcher: &*watchers[0],
                solver: None,
            };
            return Ok(evaluate(request, vec![worker], &mut on_done)?);
        }
        watchers[0].stage("opening the model");
        let mut opened = model.open_for(n_workers, request.profile.ctx_tokens)?;
        self.drafts.apply(&mut opened);
        let mut others = OpenedOthers::open(request.strategies, model, n_workers)?;
        let dialect = dialect(&opened, request.budget.reasoning_tokens_max)?;
        let device = opened.backend.describe();
        let engines = std::iter::once(&mut opened.engine).chain(&mut opened.beside);
        let workers = engines
            .zip(others.for_each(n_workers))
            .zip(&watchers)
            .map(|((engine, others), watcher)| EvalWorker {
                sandbox: &sandbox,
                watcher: &**watcher,
                solver: Some(Solver {
                    engine,
                    others,
                    dialect: &dialect,
                    device: &device,
                }),
            })
            .collect();
        Ok(evaluate(request, workers, &mut on_done)?)
    }
}

/// The runs as they go on.
enum Shown {
    /// Every step of the only one.
    Steps(TerminalWatcher),
    /// A row for each.
    Runs(RunsWatcher),
}

impl Shown {
    fn of_each(&self, n_workers: usize) -> Vec<Box<dyn Watcher + Sync + '_>> {
        match self {
            Self::Steps(terminal) => (0..n_workers)
                .map(|_| Box::new(terminal) as Box<dyn Watcher + Sync + '_>)
                .collect(),
            Self::Runs(runs) => (runs.of_each().into_iter())
                .map(|run| Box::new(run) as Box<dyn Watcher + Sync + '_>)
                .collect(),
        }
    }

    /// A line that stays.
    fn say(&self, line: &str) {
        match self {
            Self::Steps(_) => out::note(line),
            Self::Runs(runs) => runs.say(line),
        }
    }
}

/// A run that is over in a line, with an estimate from those of this call.
fn told(done: EvalDone<'_>, progress: EvalProgress, started: Instant) -> String {
    let EvalProgress {
        n_done,
        n_new,
        n_rows,
    } = progress;
    let said = match done {
        EvalDone::Row(row) => format!(
            "{} {}: {}, {} tokens, {:.0} s",
            row.instance_id,
            row.strategy,
            match row.resolved {
                true => "resolved",
                false => "not resolved",
            },
            row.usage.total().spent_tokens(),
            row.wall_ms as f64 / 1e3,
        ),
        EvalDone::NotRun(run) => {
            format!("{} {}: not run: {}", run.instance_id, run.strategy, run.why)
        }
    };
    let run_s = started.elapsed().as_secs_f64() / n_new as f64;
    format!(
        "{n_done}/{n_rows} {said}; about {:.0} min left",
        run_s * (n_rows - n_done) as f64 / 60.0
    )
}
