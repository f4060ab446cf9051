//! `egss eval`: the comparison.
use super::budget::BudgetArgs;
use super::common::ModelArgs;
use super::evaluation::{ImageArg, TaskArgs, WorkArgs};
use super::sandbox::SandboxArgs;
use super::strategy::StrategyArgs;
use super::{heading, out};
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
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Runs strategies over task files, and judges their patches by hidden tests.
#[derive(Args)]
pub struct EvalArgs {
    #[command(flatten)]
    tasks: TaskArgs,
    #[command(flatten)]
    image: ImageArg,
    #[command(flatten)]
    model: ModelArgs,
    /// Strategies as in `egss solve`, by name or FILE.toml
    ///
    /// `gold` takes the task's own patch, `empty` none.
    #[arg(
        long,
        value_name = "NAMES",
        help_heading = heading::SEARCH,
        value_delimiter = ',',
        default_value = "one-turn,single,best-of-4,egss"
    )]
    strategies: Vec<String>,
    #[command(flatten)]
    search: StrategyArgs,
    #[command(flatten)]
    work: WorkArgs,
    #[command(flatten)]
    budget: BudgetArgs,
    #[command(flatten)]
    sandbox: SandboxArgs,
    /// Judge of the patches.
    #[arg(
        long,
        value_enum,
        value_name = "NAME",
        help_heading = heading::TESTS,
        default_value_t = GraderArg::Own
    )]
    grader: GraderArg,
    /// Also compare other rules of selection over the finished runs
    ///
    /// The rules are tests, the judge, each voter, and a random draw; nothing is run again.
    #[arg(long, help_heading = heading::SELECTION)]
    rescore: bool,
    /// Folder of the results and runs.
    #[arg(long, value_name = "DIR", help_heading = heading::OUTPUT, default_value = "egss-eval")]
    out: PathBuf,
    /// Go on with the results in --out.
    #[arg(long, help_heading = heading::OUTPUT)]
    resume: bool,
    /// JSON objects instead of tables
    ///
    /// There is one for each run, strategy, comparison, and rule of selection.
    #[arg(long, help_heading = heading::OUTPUT)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GraderArg {
    /// The tasks' hidden tests, by this program.
    Own,
    /// SWE-bench's own rules, in the environments that `egss env build --tasks` made.
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
        if let Some(name) = repeated(&strategies) {
            bail!("--strategies has two strategies called {name:?}; give one of them another name");
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
            gates: self.search.gates(&self.model.model),
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

/// The name that two strategies share: their results could not be told apart.
fn repeated(strategies: &[Strategy]) -> Option<&str> {
    let mut names = BTreeSet::new();
    let mut all = strategies.iter().map(|strategy| strategy.name.as_str());
    all.find(|name| !names.insert(*name))
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
