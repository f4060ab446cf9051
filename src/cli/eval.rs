//! `egss eval`: the comparison.
use super::common::ModelArgs;
use super::solve::{BudgetArgs, SandboxArgs, dialect};
use super::strategy::{OpenedOthers, StrategyArgs};
use super::watch::TerminalWatcher;
use crate::base::Strategy;
use crate::eval::{
    Comparison, EvalRequest, EvalRow, EvalTools, Task, compare, comparison_table, evaluate,
    markdown_table, read_tasks, summarise, write_predictions,
};
use crate::search::{NoWatcher, Watcher};
use anyhow::bail;
use clap::Args;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Runs strategies over task files and judges by hidden tests. Started again
/// with the same --out it goes on where it was stopped.
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
    /// Tell of every step of every run.
    #[arg(long)]
    verbose: bool,
    /// One JSON object a run, then one a strategy, then one a comparison, instead of
    /// tables.
    #[arg(long)]
    json: bool,
}

impl EvalArgs {
    pub fn run(self) -> anyhow::Result<()> {
        let budget = self.budget.budget()?;
        if self.seeds == 0 || self.first == Some(0) {
            bail!("--seeds and --first must be at least 1");
        }
        let strategies = self
            .strategies
            .iter()
            .map(|name| self.search.named(name))
            .collect::<Result<Vec<Strategy>, _>>()?;
        let tasks = self.read_tasks()?;
        let sandbox = self.sandbox.open(Path::new("."))?;
        let mut opened = self.model.open()?;
        let mut others = OpenedOthers::open(&strategies, &self.model)?;
        let dialect = dialect(&opened)?;
        let seeds: Vec<u64> = (0..self.seeds).collect();
        let request = EvalRequest {
            tasks: &tasks,
            strategies: &strategies,
            seeds: &seeds,
            model: &self.model.model,
            budget,
            gate: self.search.gate(&self.model.model),
            out: &self.out,
        };
        let terminal = TerminalWatcher::new();
        let watcher: &dyn Watcher = if self.verbose { &terminal } else { &NoWatcher };
        let tools = EvalTools {
            engine: &mut opened.engine,
            others: others.others(),
            dialect: &dialect,
            sandbox: &sandbox,
            watcher,
        };
        let started = Instant::now();
        let rows = evaluate(&request, tools, &mut |row, done, all| {
            let left_s = started.elapsed().as_secs_f64() / done as f64 * (all - done) as f64;
            eprintln!(
                "{done}/{all} {} {}: {}, {} tokens, {:.0} s; about {:.0} min left",
                row.instance_id,
                row.strategy,
                if row.resolved {
                    "resolved"
                } else {
                    "not resolved"
                },
                row.usage.total().spent_tokens(),
                row.wall_ms as f64 / 1e3,
                left_s / 60.0
            );
        })?;
        let summaries = summarise(&rows, &strategies);
        let comparisons = comparisons(&rows, &strategies);
        if self.json {
            print_lines(&rows)?;
            print_lines(&summaries)?;
            print_lines(&comparisons)?;
        } else {
            println!("{}", markdown_table(&summaries));
            print!("{}", comparison_table(&comparisons));
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
            let all = read_tasks(path)?;
            tasks.extend(all.into_iter().take(self.first.unwrap_or(usize::MAX)));
        }
        Ok(tasks)
    }
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
