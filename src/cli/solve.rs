//! `egss solve`: the main job.
use super::budget::BudgetArgs;
use super::common::ModelArgs;
use super::dialect::{can_reason, dialect};
use super::drafts::DraftArgs;
use super::image::whole_name;
use super::issue::read_issue;
use super::runs::new_run_dir;
use super::sandbox::SandboxArgs;
use super::strategy::{OpenedOthers, STRATEGY_HELP, StrategyArgs, strategy_help};
use super::tested::{NotTested, check_tests};
use super::watch::TerminalWatcher;
use super::{heading, out, stop, values};
use crate::base::{Purpose, UsageByPurpose, user_dir};
use crate::lang::{needs_of, usual_test_command};
use crate::record::{Event, RECORD_FILE, read_record};
use crate::report::write_report;
use crate::search::{RunState, SolveRequest, Tools, WORK_DIR, Watcher, resume, solve};
use crate::verify::OwnTests;
use crate::workspace::{Environment, EnvironmentSpec, EnvironmentStore, repository_files};
use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::time::Instant;

/// Works on an issue in a repository, and hands back one tested patch.
#[derive(Args)]
pub struct SolveArgs {
    /// The repository, with or without git; egss only reads it.
    #[arg(
        long,
        value_name = "DIR",
        help_heading = heading::INPUT,
        required_unless_present = "resume"
    )]
    repo: Option<PathBuf>,
    /// File with the issue's text; `-` reads standard input.
    #[arg(
        long,
        value_name = "FILE",
        help_heading = heading::INPUT,
        required_unless_present = "resume"
    )]
    issue: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    drafts: DraftArgs,
    #[arg(
        long,
        value_name = "NAME",
        help_heading = heading::SEARCH,
        default_value = "egss",
        help = STRATEGY_HELP,
        long_help = strategy_help()
    )]
    strategy: String,
    #[command(flatten)]
    search: StrategyArgs,
    /// Seed of all random draws.
    #[arg(
        long,
        value_name = "N",
        help_heading = heading::SEARCH,
        default_value_t = 0,
        value_parser = values::seed
    )]
    seed: u64,
    #[command(flatten)]
    budget: BudgetArgs,
    #[command(flatten)]
    sandbox: SandboxArgs,
    /// Environment of the code under test: auto, none, an id, or an env.toml
    ///
    /// `auto` takes the one that `egss env build --repo` made of the repository, unless
    /// --python or a virtual environment gives an interpreter.
    #[arg(long, value_name = "ENV", help_heading = heading::TESTS, default_value = "auto")]
    env: String,
    /// Command that runs the tests [default: by language]
    ///
    /// It counts as one test by its exit status, or by --junit; `{modules:FOLDER}` in it stands for
    /// unittest's dotted modules of test files below FOLDER.
    #[arg(long, value_name = "COMMAND", help_heading = heading::TESTS)]
    test_cmd: Option<String>,
    /// Folder of the run, made if it is missing [default: a new one that `egss runs` lists].
    #[arg(long, value_name = "DIR", help_heading = heading::OUTPUT)]
    out: Option<PathBuf>,
    /// Go on with a run that was stopped.
    #[arg(
        long,
        value_name = "RUN",
        help_heading = heading::OUTPUT,
        conflicts_with_all = ["repo", "issue", "out"]
    )]
    resume: Option<PathBuf>,
    /// One JSON object on standard output instead of the patch.
    #[arg(long, help_heading = heading::OUTPUT)]
    json: bool,
    /// JUnit XML that --test-cmd writes, relative to the repository; each test in it counts by
    /// itself.
    #[arg(
        long,
        value_name = "PATH",
        help_heading = heading::ADVANCED,
        requires = "test_cmd"
    )]
    junit: Option<PathBuf>,
    /// Environment that `egss env build --repo DIR --image IMAGE` made of this image.
    #[arg(
        long,
        value_name = "IMAGE",
        help_heading = heading::ADVANCED,
        conflicts_with_all = ["env", "python"]
    )]
    image: Option<String>,
}

impl SolveArgs {
    pub fn run(self) -> anyhow::Result<()> {
        let run_dir = match &self.resume {
            Some(run_dir) => run_dir.clone(),
            None => self.run_dir()?,
        };
        let say = format!(
            "egss: stopped; go on by egss solve --resume {}",
            run_dir.display()
        );
        let _scratch = stop::guard(Some(run_dir.join(WORK_DIR)), say)?;
        let watcher = TerminalWatcher::new();
        let state = match &self.resume {
            Some(_) => self.go_on(&run_dir, &watcher)?,
            None => self.start(&run_dir, &watcher)?,
        };
        drop(watcher);
        self.print(&run_dir, &state)
    }

    fn go_on(&self, run_dir: &Path, watcher: &TerminalWatcher) -> anyhow::Result<RunState> {
        let began = Instant::now();
        let (lines, _) = read_record(&run_dir.join(RECORD_FILE))?;
        let Some(Event::RunStarted(start)) = lines.into_iter().next().map(|line| line.event) else {
            bail!("{} holds no run", run_dir.display());
        };
        let sandbox = match &start.environment {
            Some(id) => {
                let environment = EnvironmentStore::of_user()?.get(id)?;
                self.sandbox
                    .open_in(Some(&environment), Path::new(&start.repo))?
            }
            // Older records do not say where the repository was.
            None if !Path::new(&start.repo).is_absolute() => self.sandbox.open(run_dir)?,
            None => self.sandbox.open_again(&start)?,
        };
        watcher.stage("opening the model");
        let mut opened = self.model.open_for(1, start.ctx_tokens)?;
        self.drafts.apply(&mut opened);
        let strategies = std::slice::from_ref(&start.strategy);
        let mut others = OpenedOthers::open(strategies, &self.model, 1)?;
        let dialect = dialect(&opened, start.budget.reasoning_tokens_max)?;
        let tools = Tools {
            engine: &mut opened.engine,
            others: others.others(),
            dialect: &dialect,
            sandbox: &sandbox,
            watcher,
            began,
        };
        Ok(resume(run_dir, tools)?)
    }

    fn start(&self, run_dir: &Path, watcher: &TerminalWatcher) -> anyhow::Result<RunState> {
        let began = Instant::now();
        let (Some(repo), Some(issue)) = (&self.repo, &self.issue) else {
            bail!("--repo and --issue are needed");
        };
        let profile = self.budget.profile(&self.model.model)?;
        let mut budget = self.budget.budget(&profile)?;
        let strategy = self.search.named(&self.strategy, &profile)?;
        if !repo.is_dir() {
            bail!(
                "the repository {} does not exist or is no folder",
                repo.display()
            );
        }
        let issue = read_issue(issue)?;
        let environment = self.environment(repo)?;
        let sandbox = self.sandbox.open_in(environment.as_ref(), repo)?;
        let own_tests = self.own_tests()?;
        // Whatever is missing is told before the model is opened.
        check_tests(repo, &sandbox, &own_tests, environment.as_ref(), watcher)?;
        std::fs::create_dir_all(run_dir)
            .with_context(|| format!("cannot make the run's folder {}", run_dir.display()))?;
        watcher.stage("opening the model");
        let mut opened = self.model.open_for(1, profile.ctx_tokens)?;
        self.drafts.apply(&mut opened);
        if !self.budget.limits_reasoning() && can_reason(&opened) {
            budget.reasoning_tokens_max = profile.limits.reasoning_tokens_max;
        }
        let mut others = OpenedOthers::open(std::slice::from_ref(&strategy), &self.model, 1)?;
        let dialect = dialect(&opened, budget.reasoning_tokens_max)?;
        let index_dir = user_dir("EGSS_INDEX_DIR", "XDG_CACHE_HOME", ".cache", "index");
        let request = SolveRequest {
            repo,
            issue: &issue,
            model: &self.model.model,
            device: &opened.backend.describe(),
            strategy: &strategy,
            seed: self.seed,
            budget,
            gates: self.search.gates(&self.model.model),
            profile: &profile,
            own_tests,
            environment: environment.as_ref(),
            index_dir: index_dir.as_deref(),
        };
        let tools = Tools {
            engine: &mut opened.engine,
            others: others.others(),
            dialect: &dialect,
            sandbox: &sandbox,
            watcher,
            began,
        };
        Ok(solve(run_dir, &request, tools)?)
    }

    /// The environment that --env or --image means for the repository.
    fn environment(&self, repo: &Path) -> anyhow::Result<Option<Environment>> {
        if let Some(image) = &self.image {
            let spec = EnvironmentSpec::of_image(&whole_name(image)?);
            let spec = spec.map_err(anyhow::Error::msg)?;
            return Ok(Some(EnvironmentStore::of_user()?.find(&spec, repo)?));
        }
        match self.env.as_str() {
            "none" => return Ok(None),
            "auto" => return self.own_environment(repo),
            _ => {}
        }
        let store = EnvironmentStore::of_user()?;
        let file = Path::new(&self.env);
        if file.is_file() {
            return Ok(Some(store.find(&EnvironmentSpec::read(file)?, repo)?));
        }
        let environment = store.get(&self.env)?;
        if environment.spec.id(repo)? != environment.id {
            bail!(
                "the environment {} is of {}, or of other packaging files than {} has now; build \
                 one for it by `egss env build`",
                environment.id,
                environment.built.repository,
                repo.display()
            );
        }
        Ok(Some(environment))
    }

    /// The environment that was built of what the repository's own files say. Whoever names an
    /// interpreter, or has one for the repository, gets that.
    fn own_environment(&self, repo: &Path) -> anyhow::Result<Option<Environment>> {
        let has_venv = [".venv", "venv"].iter().any(|dir| repo.join(dir).is_dir());
        let is_active = std::env::var_os("VIRTUAL_ENV").is_some();
        let is_asked = self.sandbox.python.is_some() || self.sandbox.unsafe_no_sandbox;
        if is_asked || is_active || has_venv {
            return Ok(None);
        }
        // Without a store, or tools to install with, there is nothing that was built.
        let (Ok(store), Ok(Some(needs))) = (EnvironmentStore::of_user(), needs_of(repo)) else {
            return Ok(None);
        };
        let found = store.find(&needs.environment, repo).ok();
        if let Some(environment) = &found {
            out::note(&format!(
                "commands run in the environment {}; --env none leaves it out",
                environment.id
            ));
        }
        Ok(found)
    }

    fn own_tests(&self) -> anyhow::Result<OwnTests> {
        let leaves = |path: &PathBuf| {
            let mut parts = path.components();
            !parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
        };
        if let Some(path) = self.junit.as_ref().filter(|path| leaves(path)) {
            bail!(
                "--junit {} leads out of the repository; give a path relative to its root",
                path.display()
            );
        }
        Ok(OwnTests {
            command: self.test_cmd.clone(),
            junit: self.junit.clone(),
        })
    }

    /// A new run's folder: it must not hold a run already.
    fn run_dir(&self) -> anyhow::Result<PathBuf> {
        let repo = self.repo.as_deref().unwrap_or(Path::new("."));
        let dir = match &self.out {
            Some(dir) => dir.clone(),
            None => new_run_dir(repo)?,
        };
        let is_repo = dir.canonicalize().is_ok_and(|dir| {
            let repo = repo.canonicalize();
            repo.is_ok_and(|repo| repo == dir)
        });
        if is_repo {
            bail!(
                "--out {} is the repository itself; name another folder, or leave it out",
                dir.display()
            );
        }
        if dir.join(RECORD_FILE).exists() {
            bail!(
                "{0} holds a run already; name another --out, or go on with --resume {0}",
                dir.display()
            );
        }
        Ok(dir)
    }

    fn print(&self, run_dir: &Path, state: &RunState) -> anyhow::Result<()> {
        let written = write_report(run_dir)?;
        let selected = state.selected.as_ref();
        let patch = written
            .view
            .ended
            .as_ref()
            .map_or("", |ended| ended.patch.as_str());
        if self.json {
            let line = json!({
                "run": run_dir,
                "patch": run_dir.join("patch.diff"),
                "report": run_dir.join("report.html"),
                "tested": written.view.is_tested(),
                "ignored_files": written.view.ignored(),
                "does_not_apply": written.view.not_applying(),
                "selected_branch": selected.and_then(|s| s.branch),
                "reason": selected.map(|s| s.reason.as_str()),
                "unmet_examples": written.view.unmet(),
                "usage": state.usage,
            });
            out::print_line(&line.to_string())?;
        } else {
            out::note(&usage_table(&state.usage));
            let place = |file| run_dir.join(file).display().to_string();
            out::note(&format!("patch   {}", place("patch.diff")));
            out::note(&format!("report  {}", place("report.html")));
            out::print_bytes(&written.view.patch_bytes())?;
        }
        let ignored = written.view.ignored();
        if !ignored.is_empty() {
            out::note(&format!(
                "not in the patch, because git ignores them: {}",
                ignored.join(", ")
            ));
        }
        if patch.is_empty() {
            let ends: BTreeSet<&str> = state
                .branches
                .iter()
                .filter_map(|branch| Some(branch.ended.as_ref()?.status.clause()))
                .collect();
            let ends: Vec<&str> = ends.into_iter().collect();
            bail!(
                "no patch: {} (how branches ended: {})",
                selected.map_or("the run did not finish", |s| s.reason.as_str()),
                ends.join(", ")
            );
        }
        let unmet = written.view.unmet();
        if !unmet.is_empty() {
            bail!(
                "the patch is the best that was found, but {} of the issue still fails with it ({}); try another --seed, a larger --branches-max, or a larger model",
                if unmet.len() == 1 {
                    "an example"
                } else {
                    "some examples"
                },
                unmet.join(", ")
            );
        }
        if let Some(why) = written.view.not_applying() {
            bail!(
                "the patch does not apply to {} as it is now: {why}",
                written.view.start.repo
            );
        }
        if !written.view.is_tested() {
            let why = written.view.untested_because().map(str::to_owned);
            let repo = Path::new(&written.view.start.repo);
            let files = repository_files(repo).map(|(files, _)| files);
            let usual = usual_test_command(&files.unwrap_or_default());
            return Err(NotTested { why, usual }.into());
        }
        Ok(())
    }
}

/// Tokens by purpose, a line each.
fn usage_table(usage: &UsageByPurpose) -> String {
    let mut table = format!(
        "{:<14}{:>9}{:>10}{:>9}{:>7}{:>9}",
        "purpose", "decoded", "computed", "reused", "forks", "seconds"
    );
    for purpose in Purpose::ALL {
        let u = usage[purpose];
        table += &format!(
            "\n{:<14}{:>9}{:>10}{:>9}{:>7}{:>9.1}",
            purpose.name(),
            u.decoded_tokens,
            u.computed_tokens,
            u.reused_tokens,
            u.forks,
            u.wall_ms as f64 / 1e3
        );
    }
    table
}
