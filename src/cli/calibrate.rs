//! `egss calibrate`: what a model's entropy is worth, and its gates.
use super::budget::BudgetArgs;
use super::common::ModelArgs;
use super::evaluation::{TaskArgs, WorkArgs};
use super::sandbox::SandboxArgs;
use super::strategy::{STRATEGY_HELP, StrategyArgs, parse_signal, strategy_help};
use super::{heading, out, values};
use crate::base::{GATE_QUANTILE, GateSignal, Gates};
use crate::checkpoint::{find_manifest, keep_gates};
use crate::eval::calibration::{
    CalibrateRequest, Calibration, OwnRuns, StoredRun, TaskSamples, add_run, calibrate,
    calibration_tables, gate_in_use, judge_unknown, known_outcomes, own_table, stored_runs,
    trajectories,
};
use crate::eval::{EvalRequest, Grader, Task, hidden_runner};
use crate::report::calibration_html;
use anyhow::{Context, bail};
use clap::{ArgGroup, Args};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Measures how much a model's entropy says, and sets its gates.
///
/// With --tasks, runs a strategy over task files and holds the entropy of its steps against the
/// hidden tests; runs that `egss eval` left in --out are not run again. With --runs, takes a
/// quantile over the steps of runs that are there, and opens no model.
#[derive(Args)]
#[command(
    mut_arg("tasks", |tasks| tasks.required(false)),
    group(ArgGroup::new("source").args(["tasks", "runs"]).required(true))
)]
pub struct CalibrateArgs {
    #[command(flatten)]
    tasks: TaskArgs,
    /// Folders of runs, or folders that hold such, to learn the gate of --model from.
    #[arg(
        long,
        num_args = 1..,
        value_name = "DIR",
        help_heading = heading::INPUT,
        conflicts_with_all = ["first", "mirrors", "seeds", "strategy", "out"]
    )]
    runs: Vec<PathBuf>,
    #[command(flatten)]
    model: ModelArgs,
    #[arg(
        long,
        value_name = "NAME",
        help_heading = heading::SEARCH,
        default_value = "best-of-4",
        help = STRATEGY_HELP,
        long_help = strategy_help()
    )]
    strategy: String,
    #[command(flatten)]
    search: StrategyArgs,
    #[command(flatten)]
    work: WorkArgs,
    #[command(flatten)]
    budget: BudgetArgs,
    #[command(flatten)]
    sandbox: SandboxArgs,
    /// Quantile of each signal that becomes its threshold.
    #[arg(
        long,
        value_name = "Q",
        help_heading = heading::GATE,
        default_value_t = GATE_QUANTILE,
        value_parser = values::quantile
    )]
    quantile: f64,
    /// Signal of the first gate, which gates where the strategy names none [default: the
    /// strategy's; else with --tasks one that holds on other tasks, else the present one].
    #[arg(
        long,
        value_name = "SIGNAL",
        help_heading = heading::GATE,
        value_parser = parse_signal
    )]
    signal: Option<GateSignal>,
    /// Keep the gates in your configuration (default).
    #[arg(long, help_heading = heading::GATE, overrides_with = "no_write")]
    write: bool,
    /// Only measure.
    #[arg(long, help_heading = heading::GATE)]
    no_write: bool,
    /// Folder of the results and runs, as of `egss eval`; calibration.json and .html go there too.
    #[arg(long, value_name = "DIR", help_heading = heading::OUTPUT, default_value = "egss-eval")]
    out: PathBuf,
    /// Print calibration.json instead of tables.
    #[arg(long, help_heading = heading::OUTPUT)]
    json: bool,
}

impl CalibrateArgs {
    pub fn run(self) -> anyhow::Result<()> {
        let profile = self.budget.profile(&self.model.model)?;
        let budget = self.budget.budget(&profile)?;
        let manifest = find_manifest(&self.model.model).ok();
        if manifest.is_none() && !self.no_write {
            bail!(
                "{} is no model of `egss models list`, so its gates cannot be kept; add --no-write and give what is found to --gate",
                self.model.model
            );
        }
        let present = manifest.and_then(|m| Some(m.gates.first()?.signal));
        if !self.runs.is_empty() {
            return self.learn(present);
        }
        let strategies = [self.search.named(&self.strategy, &profile)?];
        let [strategy] = &strategies;
        let tasks = self.tasks.read()?;
        let seeds = self.work.seeds();
        let mut request = EvalRequest {
            tasks: &tasks,
            strategies: &strategies,
            fixed: &[],
            grader: Grader::Own,
            seeds: &seeds,
            model: &self.model.model,
            budget,
            gates: self.search.gates(&self.model.model),
            profile: &profile,
            prefixes: self.work.prefixes(),
            out: &self.out,
        };
        if self.search.asked_gate().is_none() {
            request.gates = gate_in_use(&request, strategy)?.into_iter().collect();
        }
        let runs = self.runs(&request)?;
        let asked = CalibrateRequest {
            model: &self.model.model,
            strategy: &strategy.name,
            sources: &self.tasks.sources(),
            seeds: &seeds,
            quantile: self.quantile,
            signal: self.signal.or(strategy.gate_signal),
            present,
            measured_at_s: (runs.iter().map(|run| run.state.start.started_at_s).max())
                .unwrap_or_default(),
        };
        let calibration = calibrate(self.samples(&tasks, runs)?, &asked)?;
        let shown = self.write(&calibration)?;
        if !self.no_write {
            self.keep(&calibration.gates())?;
        }
        Ok(out::print(&shown)?)
    }

    /// The gate of the user's own runs, of the signal that gates now where none is asked
    /// for.
    fn learn(&self, present: Option<GateSignal>) -> anyhow::Result<()> {
        let model = &self.model.model;
        let runs = OwnRuns::read(&self.runs, model)?;
        for error in &runs.unreadable {
            out::note(&format!("passed over: {error}"));
        }
        let signal = self.signal.or(present).unwrap_or(GateSignal::DEFAULT);
        let calibration = runs.calibrate(model, signal, self.quantile)?;
        let shown = match self.json {
            true => serde_json::to_string_pretty(&calibration)? + "\n",
            false => own_table(&calibration),
        };
        if !self.no_write {
            self.keep(&calibration.gates())?;
        }
        Ok(out::print(&shown)?)
    }

    /// The runs asked for; the model is opened only where one is missing.
    fn runs(&self, request: &EvalRequest<'_>) -> anyhow::Result<Vec<StoredRun>> {
        let n_wanted = request.tasks.len() * request.seeds.len();
        let stored = stored_runs(request)?;
        out::note(&format!(
            "{} of {n_wanted} runs are in {} already",
            stored.len(),
            self.out.display()
        ));
        if stored.len() >= n_wanted {
            return Ok(stored);
        }
        drop(stored);
        self.work.run(request, &self.model, &self.sandbox)?;
        Ok(stored_runs(request)?)
    }

    /// Steps and trajectories by task, with what the hidden tests say of each patch.
    fn samples(&self, tasks: &[Task], runs: Vec<StoredRun>) -> anyhow::Result<Vec<TaskSamples>> {
        let mut samples: BTreeMap<String, TaskSamples> = BTreeMap::new();
        let mut sandbox = None;
        for StoredRun { row, state } in runs {
            let mut outcomes = known_outcomes(&row, &state);
            if outcomes.len() < trajectories(&state).count() {
                let sandbox = match &mut sandbox {
                    Some(open) => open,
                    none => none.insert(self.sandbox.open(Path::new("."))?),
                };
                let scratch = tempfile::tempdir().context("no folder for the hidden tests")?;
                let task = (tasks
                    .iter()
                    .find(|task| task.instance_id == row.instance_id))
                .expect("runs are of the tasks asked for");
                let runner = hidden_runner(task, sandbox)?;
                judge_unknown(task, &state, &runner, scratch.path(), &mut outcomes)?;
            }
            let task = samples.entry(row.instance_id.clone()).or_default();
            task.task = row.instance_id;
            add_run(task, &state, &outcomes);
        }
        Ok(samples.into_values().collect())
    }

    /// Writes the result beside the runs, and gives it as it is printed.
    fn write(&self, calibration: &Calibration) -> anyhow::Result<String> {
        let json = serde_json::to_string_pretty(calibration)? + "\n";
        let shown = match self.json {
            true => json.clone(),
            false => calibration_tables(calibration),
        };
        for (name, text) in [
            ("calibration.json", json),
            ("calibration.html", calibration_html(calibration)?),
        ] {
            let path = self.out.join(name);
            std::fs::write(&path, text)
                .with_context(|| format!("{} cannot be written", path.display()))?;
            out::note(&format!("wrote {}", path.display()));
        }
        Ok(shown)
    }

    fn keep(&self, gates: &Gates) -> anyhow::Result<()> {
        let path = keep_gates(&self.model.model, gates)?;
        out::note(&format!(
            "the gates of {} are kept in {}; remove the file for those before",
            self.model.model,
            path.display()
        ));
        Ok(())
    }
}
