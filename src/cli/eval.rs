//! `egss eval`: the comparison.
use super::common::ModelArgs;
use super::evaluation::{ImageArg, TaskArgs, WorkArgs};
use super::out;
use super::solve::{BudgetArgs, SandboxArgs};
use super::strategy::StrategyArgs;
use crate::base::{FixedPatch, Strategy};
use crate::eval::swebench::SwebenchGrader;
use crate::eval::{
    Comparison, EvalRequest, EvalRow, Evaluated, Grader, NotRun, Prefixes, Task, compare,
    comparison_table, markdown_table, rescore, rescored_table, summarise, write_predictions,
};
use crate::report::comparison_html;
use crate::workspace::{EnvironmentStore, find_python};
use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

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
    image: ImageArg,
    #[command(flatten)]
    work: WorkArgs,
    /// Strategies as in `egss solve`; gold takes the task's own patch, empty none.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "one-turn,single,best-of-4,egss"
    )]
    strategies: Vec<String>,
    /// The judge: this program by the tasks' hidden tests, or SWE-bench's own rules, in the
    /// environments that `egss env build --tasks` made.
    #[arg(long, value_enum, default_value_t = GraderArg::Own)]
    grader: GraderArg,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GraderArg {
    Own,
    Swebench,
}

impl GraderArg {
    /// The grader by SWE-bench's rules for these tasks, where that was asked for.
    pub fn open(
        self,
        tasks: &[Task],
        sandbox: &SandboxArgs,
    ) -> anyhow::Result<Option<SwebenchGrader>> {
        if self == Self::Own {
            return Ok(None);
        }
        let python = find_python(sandbox.python.as_deref(), Path::new("."))?;
        let store = EnvironmentStore::of_user()?;
        Ok(Some(SwebenchGrader::new(store, tasks, &python)?))
    }
}

impl EvalArgs {
    pub fn run(self) -> anyhow::Result<()> {
        let profile = self.budget.profile(&self.model.model)?;
        let budget = self.budget.budget(&profile)?;
        let (mut fixed, mut strategies) = (Vec::new(), Vec::<Strategy>::new());
        for name in &self.strategies {
            match FixedPatch::named(name) {
                Some(patch) => fixed.push(patch),
                None => strategies.push(self.search.named(name, &profile)?),
            }
        }
        let mut tasks = self.tasks.read()?;
        if self.image.image.is_some() && self.grader == GraderArg::Own {
            bail!("tasks run in an image with --grader swebench only");
        }
        self.image.put_into(&mut tasks)?;
        let seeds = self.work.seeds();
        if !self.resume && self.out.join("results.jsonl").exists() {
            bail!(
                "{} holds results already; go on with them by --resume, or name another --out",
                self.out.display()
            );
        }
        let swebench = self.grader.open(&tasks, &self.sandbox)?;
        let request = EvalRequest {
            tasks: &tasks,
            strategies: &strategies,
            fixed: &fixed,
            grader: match &swebench {
                Some(grader) => Grader::Swebench(grader),
                None => Grader::Own,
            },
            seeds: &seeds,
            model: &self.model.model,
            budget,
            gate: self.search.gate(&self.model.model),
            profile: &profile,
            prefixes: self.work.prefixes(),
            out: &self.out,
        };
        let Evaluated { rows, not_run } = self.work.run(&request, &self.model, &self.sandbox)?;
        if request.prefixes == Prefixes::Charge {
            out::note("seconds are of runs that shared work: compare those of --alone only");
        }
        let summaries = summarise(&rows, &request.compared());
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
        if self.grader == GraderArg::Swebench {
            out::note(&format!(
                "its own harness, where Docker runs, grades them by: python -m \
                 swebench.harness.run_evaluation --run_id egss --dataset_name {} \
                 --predictions_path {}/predictions/NAME.jsonl",
                self.tasks.sources(),
                self.out.display()
            ));
        }
        // Last, so that a reader who goes away costs no file.
        let mut shown = String::new();
        if self.json {
            push_lines(&mut shown, &rows)?;
            push_lines(&mut shown, &summaries)?;
            push_lines(&mut shown, &comparisons)?;
            push_lines(&mut shown, &rescored)?;
            push_lines(&mut shown, &not_run)?;
        } else {
            shown += &markdown_table(&summaries);
            shown += "\n";
            shown += &comparison_table(&comparisons);
            if self.rescore {
                shown += "\n";
                shown += &rescored_table(&rescored);
            }
            if !not_run.is_empty() {
                shown += &not_run_lines(&not_run);
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

/// Runs that are in no row of the tables, by task.
fn not_run_lines(not_run: &[NotRun]) -> String {
    let mut by_task: BTreeMap<&str, &str> = BTreeMap::new();
    for run in not_run {
        by_task.entry(&run.instance_id).or_insert(&run.why);
    }
    let mut text = format!(
        "\n{} runs of {} tasks were not made, and count nowhere:\n\n",
        not_run.len(),
        by_task.len()
    );
    for (task, why) in by_task {
        text += &format!("- {task}: {why}\n");
    }
    text
}

fn push_lines<T: Serialize>(text: &mut String, values: &[T]) -> anyhow::Result<()> {
    for value in values {
        *text += &serde_json::to_string(value)?;
        text.push('\n');
    }
    Ok(())
}
