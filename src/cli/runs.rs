//! `egss runs`: the runs that were made, and the folder that they go to.
use super::out;
use crate::base::{day, second, user_dir};
use crate::record::{Event, RECORD_FILE, RecordLine, RunStarted, read_record};
use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// List the runs of `egss solve`, the newest first.
#[derive(Args)]
pub struct RunsArgs {
    /// A folder with runs. Default: $EGSS_RUNS_DIR, else egss/runs in $XDG_STATE_HOME or in
    /// ~/.local/state.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// One JSON object a run.
    #[arg(long)]
    json: bool,
}

/// A run's folder, and its record as far as it can be read.
struct Listed {
    dir: PathBuf,
    record: Result<(RunStarted, Vec<RecordLine>), String>,
}

/// Characters of an issue's first line that are shown.
const ISSUE_CHARS_MAX: usize = 60;

impl RunsArgs {
    pub fn run(self) -> anyhow::Result<()> {
        let dir = match self.dir {
            Some(dir) => dir,
            None => runs_dir()?,
        };
        let listed = list(&dir)?;
        if listed.is_empty() {
            out::note(&format!("there is no run in {}", dir.display()));
        }
        let lines = listed.iter().map(|run| match self.json {
            true => run.json() + "\n",
            false => run.line() + "\n",
        });
        Ok(out::print(&lines.collect::<String>())?)
    }
}

/// The folder that runs go to where --out does not say. Error: there is no home folder.
pub fn runs_dir() -> anyhow::Result<PathBuf> {
    let dir = user_dir("EGSS_RUNS_DIR", "XDG_STATE_HOME", ".local/state", "runs");
    dir.context("there is no home folder to keep runs in; name a folder by --out")
}

/// A folder for a new run on `repo`: its name and the time, for example `shop-20261130-094721`.
pub fn new_run_dir(repo: &Path) -> anyhow::Result<PathBuf> {
    let whole = repo.canonicalize();
    let name = whole.as_deref().ok().and_then(Path::file_name);
    let name = name.map_or_else(|| "run".into(), |name| name.to_string_lossy());
    let is_plain = |c: &char| c.is_alphanumeric() || "._-".contains(*c);
    let name: String = name.chars().filter(is_plain).collect();
    let now = SystemTime::now();
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (parent, stem) = (runs_dir()?, format!("{name}-{}", second(since.as_secs())));
    let names = (1..).map(|n| match n {
        1 => stem.clone(),
        n => format!("{stem}-{n}"),
    });
    let mut free = names
        .map(|name| parent.join(name))
        .filter(|dir| !dir.exists());
    free.next().context("no name is free for a new run")
}

fn list(dir: &Path) -> anyhow::Result<Vec<Listed>> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => bail!("cannot list {}: {error}", dir.display()),
        Ok(entries) => entries,
    };
    let folders = entries.flatten().map(|entry| entry.path());
    let runs = folders.filter(|dir| dir.join(RECORD_FILE).is_file());
    let mut listed: Vec<Listed> = runs.map(Listed::read).collect();
    listed.sort_by_key(|run| std::cmp::Reverse(run.started_at_s()));
    Ok(listed)
}

impl Listed {
    fn read(dir: PathBuf) -> Self {
        let record = match read_record(&dir.join(RECORD_FILE)) {
            Err(error) => Err(error.to_string()),
            Ok((lines, _)) => match lines.first().map(|line| line.event.clone()) {
                Some(Event::RunStarted(start)) => Ok((start, lines)),
                _ => Err("its record holds no run".to_owned()),
            },
        };
        Self { dir, record }
    }

    fn started_at_s(&self) -> u64 {
        self.record
            .as_ref()
            .map_or(0, |(start, _)| start.started_at_s)
    }

    /// A clause.
    fn outcome(lines: &[RecordLine]) -> &'static str {
        let ended = lines.iter().find_map(|line| match &line.event {
            Event::RunEnded(ended) => Some(ended),
            _ => None,
        });
        match ended {
            None => "not finished",
            Some(ended) if ended.patch.is_empty() => "no patch",
            Some(_) => "a patch",
        }
    }

    fn line(&self) -> String {
        let dir = self.dir.display();
        match &self.record {
            Err(why) => format!("{dir}: {why}"),
            Ok((start, lines)) => {
                let issue = start.issue.trim().lines().next().unwrap_or_default();
                let issue: String = issue.chars().take(ISSUE_CHARS_MAX).collect();
                format!(
                    "{dir}: {}, {}, {}, {}: {issue}",
                    day(start.started_at_s),
                    start.repo,
                    start.strategy.name,
                    Self::outcome(lines)
                )
            }
        }
    }

    fn json(&self) -> String {
        let value = match &self.record {
            Err(why) => json!({"run": self.dir, "fault": why}),
            Ok((start, lines)) => json!({
                "run": self.dir,
                "started_at_s": start.started_at_s,
                "repo": start.repo,
                "model": start.model,
                "strategy": start.strategy.name,
                "issue": start.issue,
                "outcome": Self::outcome(lines),
            }),
        };
        value.to_string()
    }
}
