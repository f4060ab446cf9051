//! `egss env`: environments of the code under test.
use super::evaluation::{ImageArg, TaskArgs};
use super::image::whole_name;
use super::watch::TerminalWatcher;
use super::{heading, out, values};
use crate::eval::Task;
use crate::eval::swebench::{SwebenchGrader, SwebenchPackage};
use crate::lang::{Needs, needs_of};
use crate::search::Watcher;
use crate::workspace::{
    BuildRequest, Environment, EnvironmentSpec, EnvironmentStore, Shadow, build_environment,
    find_python, find_uv,
};
use anyhow::{Context, bail};
use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Environments of the code under test: an interpreter, packages, the repository installed in
/// place. Each is built once, and shown read-only to what runs in it.
#[derive(Args)]
pub struct EnvArgs {
    #[command(subcommand)]
    command: EnvCommand,
}

#[derive(Subcommand)]
enum EnvCommand {
    /// Build what is missing. Uses the network: packages are downloaded, and what their
    /// install scripts run is confined to the environment's folder.
    Build(BuildArgs),
    /// Say which there are.
    List(ListArgs),
    /// Try them out.
    Check(CheckArgs),
    /// Remove those that were not built to their ends, or are not used.
    Prune(PruneArgs),
}

#[derive(Args)]
#[command(
    mut_arg("tasks", |tasks| tasks.required(false)),
    group(ArgGroup::new("source").args(["repo", "tasks", "grader"]).required(true))
)]
struct BuildArgs {
    /// Repository; its needs are read from its own files, unless --spec says them.
    #[arg(long, value_name = "DIR", help_heading = heading::INPUT)]
    repo: Option<PathBuf>,
    /// An env.toml; docs/environments.md describes it.
    #[arg(
        long,
        value_name = "FILE",
        help_heading = heading::INPUT,
        requires = "repo",
        conflicts_with = "image"
    )]
    spec: Option<PathBuf>,
    #[command(flatten)]
    tasks: TaskArgs,
    #[command(flatten)]
    image: ImageArg,
    /// Package that grades by a benchmark's own rules.
    #[arg(long, value_enum, value_name = "NAME", help_heading = heading::INPUT)]
    grader: Option<Package>,
    /// Also build those that are there already.
    #[arg(long, help_heading = heading::OUTPUT)]
    again: bool,
    /// One JSON object an environment.
    #[arg(long, help_heading = heading::OUTPUT)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Package {
    Swebench,
}

#[derive(Args)]
struct ListArgs {
    /// One JSON object an environment.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct CheckArgs {
    /// Only these; default: all.
    ids: Vec<String>,
    /// One JSON object an environment.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct PruneArgs {
    /// Also those that were not used for so many days.
    #[arg(long, value_name = "DAYS", value_parser = values::positive::<u64>)]
    unused_for: Option<u64>,
    /// Also these.
    ids: Vec<String>,
    /// All of them, and what packages were downloaded for.
    #[arg(long)]
    all: bool,
}

impl EnvArgs {
    pub fn run(self) -> anyhow::Result<()> {
        let store = EnvironmentStore::of_user()?;
        match self.command {
            EnvCommand::Build(args) => args.run(&store),
            EnvCommand::List(args) => args.run(&store),
            EnvCommand::Check(args) => args.run(&store),
            EnvCommand::Prune(args) => args.run(&store),
        }
    }
}

impl BuildArgs {
    fn run(&self, store: &EnvironmentStore) -> anyhow::Result<()> {
        let (watcher, uv) = (TerminalWatcher::new(), find_uv());
        if let Some(repo) = &self.repo {
            let needs = match (&self.spec, &self.image.image) {
                (_, Some(image)) => Needs {
                    environment: EnvironmentSpec::of_image(&whole_name(image)?)
                        .map_err(anyhow::Error::msg)?,
                    ..Needs::default()
                },
                (Some(spec), _) => Needs {
                    environment: EnvironmentSpec::read(spec)?,
                    // Install commands may call what the repository's language has.
                    toolchain: needs_of(repo).ok().flatten().unwrap_or_default().toolchain,
                },
                (None, None) => needs_of(repo)?.with_context(|| {
                    format!(
                        "nothing in {} says what it needs; say it in an env.toml and name that by --spec",
                        repo.display()
                    )
                })?,
            };
            let tree = copy_of(repo)?;
            let repository = repo.display().to_string();
            let built = self.build(
                store,
                &needs,
                tree.path(),
                &repository,
                uv.as_deref(),
                &watcher,
            )?;
            return self.print(&built);
        }
        if self.grader.is_some() {
            let empty = tempfile::tempdir().context("no folder for the build")?;
            let needs = Needs {
                environment: SwebenchPackage::spec(),
                ..Needs::default()
            };
            let built = self.build(
                store,
                &needs,
                empty.path(),
                "its package",
                uv.as_deref(),
                &watcher,
            )?;
            return self.print(&built);
        }
        let python = find_python(None, Path::new("."))?;
        let mut tasks = self.tasks.read()?;
        self.image.put_into(&mut tasks)?;
        watcher.stage("asking the package swebench what the tasks need");
        let grader = SwebenchGrader::new(store.clone(), &tasks, &python)?;
        let mut failed = 0;
        for (index, task) in tasks.iter().enumerate() {
            let id = &task.instance_id;
            watcher.stage(&format!("{} of {}: {id}", index + 1, tasks.len()));
            match self.build_task(store, &grader, task, &watcher) {
                Ok(built) => self.print(&built)?,
                Err(error) => {
                    failed += 1;
                    out::note(&format!("{id}: {}", super::sentence(&error)));
                }
            }
        }
        match failed {
            0 => Ok(()),
            n => bail!(
                "the environments of {n} of {} tasks were not built",
                tasks.len()
            ),
        }
    }

    fn build_task(
        &self,
        store: &EnvironmentStore,
        grader: &SwebenchGrader,
        task: &Task,
        watcher: &TerminalWatcher,
    ) -> anyhow::Result<Environment> {
        let spec = grader.spec(task).map_err(anyhow::Error::msg)?;
        let tree = tempfile::tempdir().context("no folder for the repository")?;
        task.materialise(tree.path())?;
        let repository = format!("{} {}", task.repo, task.base_commit);
        let uv = find_uv().unwrap_or_else(|| grader.uv());
        let needs = Needs {
            environment: spec.environment.clone(),
            ..Needs::default()
        };
        self.build(store, &needs, tree.path(), &repository, Some(&uv), watcher)
    }

    fn build(
        &self,
        store: &EnvironmentStore,
        needs: &Needs,
        tree: &Path,
        repository: &str,
        uv: Option<&Path>,
        watcher: &TerminalWatcher,
    ) -> anyhow::Result<Environment> {
        let request = BuildRequest {
            spec: &needs.environment,
            toolchain: &needs.toolchain,
            tree,
            repository,
            python: &find_python(None, Path::new("."))?,
            uv,
            again: self.again,
        };
        Ok(build_environment(store, &request, &mut |step| {
            watcher.stage(step)
        })?)
    }

    fn print(&self, built: &Environment) -> anyhow::Result<()> {
        let line = match self.json {
            true => json_of(built).to_string(),
            false => built.id.clone(),
        };
        Ok(out::print_line(&line)?)
    }
}

/// A copy of the working tree, which an install may write to.
fn copy_of(repo: &Path) -> anyhow::Result<tempfile::TempDir> {
    let folder = || tempfile::tempdir().context("no folder for a copy of the repository");
    let (git_dir, copy) = (folder()?, folder()?);
    let shadow = Shadow::open(git_dir.path())?;
    shadow.restore(&shadow.snapshot_repository(repo)?.tree, copy.path())?;
    Ok(copy)
}

fn json_of(environment: &Environment) -> serde_json::Value {
    json!({
        "id": environment.id,
        "dir": environment.dir,
        "spec": environment.spec,
        "built": environment.built,
    })
}

impl ListArgs {
    fn run(&self, store: &EnvironmentStore) -> anyhow::Result<()> {
        let mut shown = String::new();
        for kept in store.list()? {
            shown += &match (&kept.environment, self.json) {
                (Ok(environment), true) => json_of(environment).to_string(),
                (Err(why), true) => {
                    json!({"id": kept.id, "dir": kept.dir, "fault": why}).to_string()
                }
                (Ok(environment), false) => {
                    let built = &environment.built;
                    let python = built.python_version.as_deref().unwrap_or("-");
                    format!(
                        "{}: Python {python}, {} packages, {} MiB, of {}, unused for {} days",
                        kept.id,
                        built.packages.len(),
                        built.bytes >> 20,
                        built.repository,
                        kept.unused.as_secs() / DAY_S
                    )
                }
                (Err(why), false) => format!("{}: {why}", kept.id),
            };
            shown.push('\n');
        }
        if shown.is_empty() {
            out::note(&format!(
                "there is no environment in {}",
                store.dir().display()
            ));
        }
        Ok(out::print(&shown)?)
    }
}

const DAY_S: u64 = 24 * 60 * 60;

impl CheckArgs {
    fn run(&self, store: &EnvironmentStore) -> anyhow::Result<()> {
        let ids = match self.ids.is_empty() {
            true => store.list()?.into_iter().map(|kept| kept.id).collect(),
            false => self.ids.clone(),
        };
        let mut n_broken = 0;
        for id in &ids {
            let faults = match store.get(id) {
                Ok(environment) => environment.faults(),
                Err(error) => vec![error.to_string()],
            };
            n_broken += usize::from(!faults.is_empty());
            out::print_line(&match (self.json, faults.is_empty()) {
                (true, _) => json!({"id": id, "faults": faults}).to_string(),
                (false, true) => format!("{id}: works"),
                (false, false) => format!("{id}: {}", faults.join("; ")),
            })?;
        }
        match n_broken {
            0 => Ok(()),
            n => bail!(
                "{n} of {} environments do not work; build them anew with `egss env build --again`, \
                 or remove them with `egss env prune ID`",
                ids.len()
            ),
        }
    }
}

impl PruneArgs {
    fn run(&self, store: &EnvironmentStore) -> anyhow::Result<()> {
        let kept = store.list()?;
        if let Some(id) = self
            .ids
            .iter()
            .find(|id| !kept.iter().any(|kept| kept.id == **id))
        {
            bail!("there is no environment {id}; `egss env list` says which there are");
        }
        for kept in kept {
            let is_old = self
                .unused_for
                .is_some_and(|days| kept.unused.as_secs() > days * DAY_S);
            let is_broken = kept.environment.is_err();
            if self.all || is_old || is_broken || self.ids.contains(&kept.id) {
                store.remove(&kept.id)?;
                out::print_line(&kept.id)?;
            }
        }
        if self.all {
            store.forget_downloads()?;
        }
        Ok(())
    }
}
