//! The commands. The only module that sees every other one.
mod bench;
mod calibrate;
mod common;
mod eval;
mod evaluation;
mod generate;
mod live;
mod models;
mod plot;
mod report;
mod solve;
mod strategy;
mod watch;

use clap::{Parser, Subcommand};

/// Entropy-aware local inference, and entropy-guided search for software engineering.
#[derive(Parser)]
#[command(name = "egss", version, about, disable_help_subcommand = true)]
// Of an option that is given twice the last one counts, as with most tools: scripts set
// their own and let others be added.
#[command(args_override_self = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Work on an issue in a repository: issue in, tested patch out.
    Solve(solve::SolveArgs),
    /// Compare strategies over tasks with hidden tests.
    Eval(eval::EvalArgs),
    /// Measure what a model's entropy is worth, and set its gate.
    Calibrate(calibrate::CalibrateArgs),
    /// Continue a prompt, with the entropy of every token.
    Generate(generate::GenerateArgs),
    /// Measure this machine with a model.
    Bench(bench::BenchArgs),
    /// Known models: list, show, pull.
    Models(models::ModelsArgs),
    /// Show a run again from its record.
    Report(report::ReportArgs),
}

/// Parses the arguments and runs the command.
pub fn run() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Solve(args) => args.run(),
        Command::Eval(args) => args.run(),
        Command::Calibrate(args) => args.run(),
        Command::Generate(args) => args.run(),
        Command::Bench(args) => args.run(),
        Command::Models(args) => args.run(),
        Command::Report(args) => args.run(),
    }
}
