//! Solves real instances with an agent that is no model, to see whether the tools lead there:
//!
//! ```text
//! cargo run --release --example scripted_agent -- --tasks swe.jsonl --mirrors CLONES \
//!     --only pallets__flask-5014 --out DIR
//! ```
//!
//! The agent works as a sensible engineer does: it views what the map puts first, searches for the
//! names in the issue, views the hits, runs the issue's example, edits by hunks, runs the tests
//! beside the change and hands in. Paths and line numbers it knows from the prompt and from the
//! tools' answers only; the text that goes into the file is the reference solution's. Everything
//! else is the real thing: sandbox, environment, suite, selection, SWE-bench's grading.
//! Environments are those of `egss env build --tasks`.
mod agent;
mod gold;

use agent::Agent;
use anyhow::{Context, bail};
use clap::Parser;
use egss::agent::ChatMl;
use egss::base::{AgentProfile, Budget, Gates};
use egss::engine::Vocabulary;
use egss::engine::scripted::{ByteVocabulary, ScriptedEngine};
use egss::eval::swebench::SwebenchGrader;
use egss::eval::{
    EvalDone, EvalRequest, EvalWorker, Grader, Prefixes, Solver, Task, evaluate, read_tasks,
};
use egss::search::{NoWatcher, Others, strategy_named};
use egss::workspace::{EnvironmentStore, Sandbox, SandboxMode, enter_namespace, find_python};
use gold::Change;
use std::path::{Path, PathBuf};

/// Tokens are bytes here: room for some hundred views.
const CTX_TOKENS: usize = 2_000_000;

#[derive(Parser)]
struct Args {
    #[arg(long)]
    tasks: PathBuf,
    #[arg(long)]
    mirrors: PathBuf,
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    #[arg(long)]
    out: PathBuf,
    /// Seconds of one run.
    #[arg(long, default_value_t = 600)]
    wall_s_max: u64,
    #[arg(long, default_value = "egss")]
    strategy: String,
}

fn main() -> anyhow::Result<()> {
    if let Err(why) = enter_namespace() {
        eprintln!("workspaces are copies: {why}");
    }
    let args = Args::parse();
    let mut tasks: Vec<Task> = read_tasks(&args.tasks)?;
    tasks.retain(|task| args.only.is_empty() || args.only.contains(&task.instance_id));
    if tasks.is_empty() {
        bail!("no task of {} is asked for", args.tasks.display());
    }
    for task in &mut tasks {
        task.locate(Some(&args.mirrors))?;
    }
    let mut known = Vec::new();
    for task in &tasks {
        let changes = gold::changes(&task.patch)
            .with_context(|| format!("the patch of {}", task.instance_id))?;
        known.push((task.problem_statement.trim().to_owned(), changes));
    }
    let python = find_python(None, Path::new("."))?;
    let grader = SwebenchGrader::new(EnvironmentStore::of_user()?, &tasks, &python)?;
    let sandbox = Sandbox::new(SandboxMode::Bubblewrap, &python)?;
    let profile = AgentProfile::standard();
    let strategy = strategy_named(&args.strategy, 2, 4, &profile)
        .with_context(|| format!("there is no strategy {}", args.strategy))?;
    let limits = &profile.limits;
    let request = EvalRequest {
        tasks: &tasks,
        strategies: &[strategy],
        fixed: &[],
        grader: Grader::Swebench(&grader),
        seeds: &[0],
        model: "scripted",
        budget: Budget {
            wall_s_max: args.wall_s_max,
            steps_max: limits.steps_max,
            tokens_max: u64::MAX,
            action_tokens_max: 100_000,
            ..Budget::default()
        },
        gates: Gates::default(),
        profile: &profile,
        prefixes: Prefixes::Forget,
        out: &args.out,
    };
    let mut engine = engine(known);
    let (dialect, watcher) = (ChatMl::default(), NoWatcher);
    let worker = EvalWorker {
        sandbox: &sandbox,
        watcher: &watcher,
        solver: Some(Solver {
            engine: &mut engine,
            others: Others::default(),
            dialect: &dialect,
            device: "cpu",
        }),
    };
    println!("| task | resolved | patch | seconds |\n|---|---|---:|---:|");
    let (mut n_resolved, n_tasks) = (0, tasks.len());
    evaluate(&request, vec![worker], &mut |done, _| match done {
        EvalDone::Row(row) => {
            n_resolved += usize::from(row.resolved);
            let (id, n_bytes) = (&row.instance_id, row.patch().len());
            let seconds = row.wall_ms / 1000;
            println!("| {id} | {} | {n_bytes} bytes | {seconds} |", row.resolved);
        }
        EvalDone::NotRun(run) => println!("| {} | not run: {} | | |", run.instance_id, run.why),
    })?;
    println!("\n{n_resolved} of {n_tasks} resolved");
    Ok(())
}

/// An engine that says what the agent does next, for whichever issue stands in the prompt.
fn engine(known: Vec<(String, Vec<Change>)>) -> ScriptedEngine {
    let vocabulary = ByteVocabulary::chat_ml();
    ScriptedEngine::from_policy(move |tokens| {
        let text = vocabulary.decode(tokens);
        let task = known.iter().find(|(issue, _)| text.contains(issue));
        let says = match task {
            Some((issue, changes)) => Agent::new(&text, issue, changes).next(),
            None => "This prompt holds no issue that is known.".to_owned(),
        };
        vec![(says, 1.0)]
    })
    .with_context_max(CTX_TOKENS)
}
