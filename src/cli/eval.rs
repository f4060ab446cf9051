//! `egss eval`: the comparison.
use super::common::ModelArgs;
use super::solve::{BudgetArgs, SandboxArgs, dialect};
use super::strategy::{OpenedOthers, StrategyArgs};
use super::watch::TerminalWatcher;
use crate::base::Strategy;
use crate::eval::{
    Comparison, EvalProgress, EvalRequest, EvalRow, EvalWorker, Prefixes, Task, compare,
    comparison_table, evaluate, markdown_table, read_tasks, rescore, rescored_table, summarise,
    write_predictions,
};
use crate::search::{NoWatcher, Watcher};
use anyhow::bail;
use clap::Args;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Runs strategies over task files and judges by hidden tests. What was stopped goes
/// on with --resume.
#[derive(Args)]
pub struct EvalArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    sandbox: SandboxArgs,
    #[command(flatten)]
    budget: BudgetArgs,
    /// Task files (SWE-bench's schema, one JSON object a line).
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    tasks: Vec<PathBuf>,
    /// Only the first tasks of each file.
    #[arg(long, value_name = "N")]
    first: Option<usize>,
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "one-turn,single,best-of-4,egss"
    )]
    strategies: Vec<String>,
    /// Seeds 0 to N - 1.
    #[arg(long, default_value_t = 1, value_name = "N")]
    seeds: u64,
    #[command(flatten)]
    search: StrategyArgs,
    /// Where results and runs are kept.
    #[arg(long, value_name = "DIR", default_value = "egss-eval")]
    out: PathBuf,
    /// Tasks at the same time: their steps run as one batch. Fewer where there is no
    /// memory for as many KV caches.
    #[arg(long, default_value_t = 4, value_name = "N")]
    batch: usize,
    /// One run at a time, each from an empty cache: the counts are the same, and only
    /// so can times be compared.
    #[arg(long)]
    alone: bool,
    /// Tell of every step of every run, one run at a time.
    #[arg(long)]
    verbose: bool,
    /// Go on with the results in --out.
    #[arg(long)]
    resume: bool,
    /// Folder with clones of the repositories that tasks name (OWNER/NAME, or
    /// OWNER__NAME, with or without .git), for tasks without inline files.
    #[arg(long, value_name = "DIR")]
    mirrors: Option<PathBuf>,
    /// Also say what other ways to pick a patch (by tests, the judge, each voter, at
    /// random) would have given of what the finished runs hold; nothing is run again.
    #[arg(long)]
    rescore: bool,
    /// One JSON object a run, then one a strategy, one a comparison, and one a way to
    /// pick, instead of tables.
    #[arg(long)]
    json: bool,
}

impl EvalArgs {
    pub fn run(self) -> anyhow::Result<()> {
        let budget = self.budget.budget()?;
        if self.seeds == 0 || self.first == Some(0) || self.batch == 0 {
            bail!("--seeds, --first and --batch must be at least 1");
        }
        let strategies = self
            .strategies
            .iter()
            .map(|name| self.search.named(name))
            .collect::<Result<Vec<Strategy>, _>>()?;
        let tasks = self.read_tasks()?;
        if !self.resume && self.out.join("results.jsonl").exists() {
            bail!(
                "{} holds results already; go on with them by --resume, or name another --out",
                self.out.display()
            );
        }
        let sandbox = self.sandbox.open(Path::new("."))?;
        let n_workers = match self.alone || self.verbose {
            true => 1,
            false => self.batch,
        };
        let mut opened = self.model.open_for(n_workers)?;
        let mut others = OpenedOthers::open(&strategies, &self.model, n_workers)?;
        let dialect = dialect(&opened)?;
        let seeds: Vec<u64> = (0..self.seeds).collect();
        let request = EvalRequest {
            tasks: &tasks,
            strategies: &strategies,
            seeds: &seeds,
            model: &self.model.model,
            budget,
            gate: self.search.gate(&self.model.model),
            prefixes: match self.alone {
                true => Prefixes::Forget,
                false => Prefixes::Charge,
            },
            out: &self.out,
        };
        let terminal = TerminalWatcher::new();
        let watcher: &(dyn Watcher + Sync) = if self.verbose { &terminal } else { &NoWatcher };
        let engines = std::iter::once(&mut opened.engine).chain(&mut opened.beside);
        let workers = engines
            .zip(others.for_each(n_workers))
            .map(|(engine, others)| EvalWorker {
                engine,
                others,
                dialect: &dialect,
                sandbox: &sandbox,
                watcher,
            })
            .collect();
        let started = Instant::now();
        let rows = evaluate(&request, workers, &mut |row, progress| {
            tell(row, progress, started);
        })?;
        let summaries = summarise(&rows, &strategies);
        let comparisons = comparisons(&rows, &strategies);
        let several = strategies.iter().filter(|s| self.rescore && s.n > 1);
        let several: Vec<&str> = several.map(|s| s.name.as_str()).collect();
        let rescored = rescore(&rows, &several);
        if self.json {
            print_lines(&rows)?;
            print_lines(&summaries)?;
            print_lines(&comparisons)?;
            print_lines(&rescored)?;
        } else {
            println!("{}", markdown_table(&summaries));
            print!("{}", comparison_table(&comparisons));
            if self.rescore {
                print!("\n{}", rescored_table(&rescored));
            }
        }
        let predictions = write_predictions(&rows, &self.model.model, &self.out)?;
        eprintln!(
            "{} files of predictions in SWE-bench's format below {}",
            predictions.len(),
            self.out.display()
        );
        Ok(())
    }

    fn read_tasks(&self) -> anyhow::Result<Vec<Task>> {
        let mut tasks = Vec::new();
        for path in &self.tasks {
            let mut all = read_tasks(path)?;
            for task in &mut all {
                task.locate(self.mirrors.as_deref())?;
            }
            tasks.extend(all.into_iter().take(self.first.unwrap_or(usize::MAX)));
        }
        Ok(tasks)
    }
}

/// A line for a finished run, with an estimate from those of this call.
fn tell(row: &EvalRow, progress: EvalProgress, started: Instant) {
    let EvalProgress {
        n_done,
        n_new,
        n_rows,
    } = progress;
    let run_s = started.elapsed().as_secs_f64() / n_new as f64;
    eprintln!(
        "{n_done}/{n_rows} {} {}: {}, {} tokens, {:.0} s; about {:.0} min left",
        row.instance_id,
        row.strategy,
        match row.resolved {
            true => "resolved",
            false => "not resolved",
        },
        row.usage.total().spent_tokens(),
        row.wall_ms as f64 / 1e3,
        run_s * (n_rows - n_done) as f64 / 60.0
    );
}

/// Each strategy against each baseline that was run beside it.
fn comparisons(rows: &[EvalRow], strategies: &[Strategy]) -> Vec<Comparison> {
    let is_baseline = |name: &str| name == "single" || name.starts_with("best-of-");
    let mut found = Vec::new();
    for first in strategies {
        for against in strategies {
            if first.name != against.name && is_baseline(&against.name) {
                found.extend(compare(rows, &first.name, &against.name));
            }
        }
    }
    found
}

fn print_lines<T: Serialize>(values: &[T]) -> anyhow::Result<()> {
    for value in values {
        println!("{}", serde_json::to_string(value)?);
    }
    Ok(())
}
