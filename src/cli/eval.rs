//! `egss eval`: the comparison.
use super::common::ModelArgs;
use super::evaluation::{TaskArgs, WorkArgs};
use super::out;
use super::solve::{BudgetArgs, SandboxArgs};
use super::strategy::StrategyArgs;
use crate::base::Strategy;
use crate::eval::{
    Comparison, EvalRequest, EvalRow, Prefixes, compare, comparison_table, markdown_table, rescore,
    rescored_table, summarise, write_predictions,
};
use crate::report::comparison_html;
use anyhow::{Context, bail};
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;

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
    #[command(flatten)]
    tasks: TaskArgs,
    #[command(flatten)]
    work: WorkArgs,
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "one-turn,single,best-of-4,egss"
    )]
    strategies: Vec<String>,
    #[command(flatten)]
    search: StrategyArgs,
    /// Where results and runs are kept.
    #[arg(long, value_name = "DIR", default_value = "egss-eval")]
    out: PathBuf,
    /// Go on with the results in --out.
    #[arg(long)]
    resume: bool,
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
        let profile = self.budget.profile(&self.model.model)?;
        let budget = self.budget.budget(&profile)?;
        let strategies = self
            .strategies
            .iter()
            .map(|name| self.search.named(name, &profile))
            .collect::<Result<Vec<Strategy>, _>>()?;
        let tasks = self.tasks.read()?;
        let seeds = self.tasks.seeds();
        if !self.resume && self.out.join("results.jsonl").exists() {
            bail!(
                "{} holds results already; go on with them by --resume, or name another --out",
                self.out.display()
            );
        }
        let request = EvalRequest {
            tasks: &tasks,
            strategies: &strategies,
            seeds: &seeds,
            model: &self.model.model,
            budget,
            gate: self.search.gate(&self.model.model),
            profile: &profile,
            prefixes: self.work.prefixes(),
            out: &self.out,
        };
        let rows = self.work.run(&request, &self.model, &self.sandbox)?;
        if request.prefixes == Prefixes::Charge {
            out::note("seconds are of runs that shared work: compare those of --alone only");
        }
        let summaries = summarise(&rows, &strategies);
        let comparisons = comparisons(&rows, &strategies);
        let several = strategies.iter().filter(|s| self.rescore && s.n > 1);
        let several: Vec<&str> = several.map(|s| s.name.as_str()).collect();
        let rescored = rescore(&rows, &several);
        let page = self.out.join("comparison.html");
        std::fs::write(&page, comparison_html(&self.model.model, &summaries)?)
            .with_context(|| format!("{} cannot be written", page.display()))?;
        let predictions = write_predictions(&rows, &self.model.model, &self.out)?;
        out::note(&format!(
            "wrote comparison.html and {} files of predictions in SWE-bench's format to {}",
            predictions.len(),
            self.out.display()
        ));
        // Last, so that a reader who goes away costs no file.
        let mut shown = String::new();
        if self.json {
            push_lines(&mut shown, &rows)?;
            push_lines(&mut shown, &summaries)?;
            push_lines(&mut shown, &comparisons)?;
            push_lines(&mut shown, &rescored)?;
        } else {
            shown += &markdown_table(&summaries);
            shown += "\n";
            shown += &comparison_table(&comparisons);
            if self.rescore {
                shown += "\n";
                shown += &rescored_table(&rescored);
            }
        }
        Ok(out::print(&shown)?)
    }
}

/// Each strategy against each baseline that was run beside it, and `egss` against all.
fn comparisons(rows: &[EvalRow], strategies: &[Strategy]) -> Vec<Comparison> {
    let is_baseline = |name: &str| name == "single" || name.starts_with("best-of-");
    let mut found = Vec::new();
    for first in strategies {
        for against in strategies {
            let is_asked = is_baseline(&against.name) || first.name == "egss";
            if first.name != against.name && is_asked {
                found.extend(compare(rows, &first.name, &against.name));
            }
        }
    }
    found
}

fn push_lines<T: Serialize>(text: &mut String, values: &[T]) -> anyhow::Result<()> {
    for value in values {
        *text += &serde_json::to_string(value)?;
        text.push('\n');
    }
    Ok(())
}
