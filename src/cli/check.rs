//! `egss bench check`: the check after an edit, of each task's own reference solution; without a
//! model.
use super::eval::GraderArg;
use super::evaluation::TaskArgs;
use super::sandbox::SandboxArgs;
use super::watch::TerminalWatcher;
use super::{heading, out, values};
use crate::base::Budget;
use crate::eval::{CannotRun, GoldCheck, GoldChecks, Grader, gold_check};
use anyhow::bail;
use clap::Args;
use serde_json::json;
use std::path::Path;

/// Measures the choice of tests after an edit on each task's own solution and tests.
#[derive(Args)]
pub struct CheckArgs {
    #[command(flatten)]
    tasks: TaskArgs,
    /// Environment of the tests: each task's own (swebench), or the interpreter of --python (own).
    #[arg(
        long,
        value_enum,
        default_value = "own",
        value_name = "NAME",
        help_heading = heading::TESTS
    )]
    grader: GraderArg,
    /// Seconds of the tests on the base, and of those after the edit.
    #[arg(
        long,
        default_value_t = 60,
        value_name = "S",
        help_heading = heading::TESTS,
        value_parser = values::positive::<u64>
    )]
    check_s_max: u64,
    #[command(flatten)]
    sandbox: SandboxArgs,
    /// One JSON object a task and one of the sums, instead of a table.
    #[arg(long, help_heading = heading::OUTPUT)]
    json: bool,
}

impl CheckArgs {
    pub fn run(&self) -> anyhow::Result<()> {
        let tasks = self.tasks.read()?;
        let swebench = self.grader.open(&tasks, &self.sandbox)?;
        let grader = swebench.as_ref().map_or(Grader::Own, Grader::Swebench);
        let sandbox = self.sandbox.open(Path::new("."))?;
        let watcher = TerminalWatcher::new();
        let budget = Budget {
            check_s_max: Some(self.check_s_max),
            ..Budget::default()
        };
        let mut checks = Vec::new();
        for (nth, task) in tasks.iter().enumerate() {
            out::note(&format!("{}/{} {}", nth + 1, tasks.len(), task.instance_id));
            match gold_check(task, &grader, &sandbox, budget, &watcher) {
                Ok(Ok(check)) => {
                    out::note(&said_of(&check));
                    checks.push(check);
                }
                Ok(Err(CannotRun(why))) => {
                    out::note(&format!("{}: not run: {why}", task.instance_id));
                }
                Err(error) => out::note(&format!("{}: not run: {error}", task.instance_id)),
            }
        }
        if checks.is_empty() {
            bail!("no task of {} could be checked", self.tasks.sources());
        }
        let sums = GoldChecks::of(&checks);
        if self.json {
            for check in &checks {
                out::print_line(&json!(check).to_string())?;
            }
            return Ok(out::print_line(&json!({ "all": sums }).to_string())?);
        }
        out::print_line(
            "| task | files | hidden file at | ran | tests run | not run | base s | check s | made of the issue | regressions |\n|---|---:|---:|---|---:|---:|---:|---:|---|---:|",
        )?;
        for check in &checks {
            out::print_line(&row_of(check))?;
        }
        Ok(out::print_line(&format!(
            "\n{} of {} tasks ran a hidden file; {} issues gave a test that fails on the base, of which {} pass with the solution and {} do not; {} tasks with a regression",
            sums.hidden_ran,
            sums.n_tasks,
            sums.reproduced,
            sums.right,
            sums.wrong,
            sums.with_regressions
        ))?)
    }
}

fn said_of(check: &GoldCheck) -> String {
    let not_run = match check.n_not_run {
        0 => String::new(),
        n => format!(", {n} not run"),
    };
    format!(
        "{}: {} tests run{not_run}, {:.0} s on the base, {:.0} s on the patch",
        check.instance_id, check.n_run, check.base_s, check.check_s
    )
}

fn row_of(check: &GoldCheck) -> String {
    let place = check
        .hidden_place
        .map_or_else(|| "-".to_owned(), |at| at.to_string());
    let made = check.reproductions.iter().map(|made| {
        let result = made
            .with_gold
            .map(|result| format!("{result:?}").to_lowercase());
        format!("{} {}", made.name, result.as_deref().unwrap_or("not run"))
    });
    format!(
        "| {} | {} | {place} | {} | {} | {} | {:.1} | {:.1} | {} | {} |",
        check.instance_id,
        check.n_files,
        if check.hidden_ran { "yes" } else { "no" },
        check.n_run,
        check.n_not_run,
        check.base_s,
        check.check_s,
        made.collect::<Vec<_>>().join(", "),
        check.regressions.len()
    )
}
