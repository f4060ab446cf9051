//! The commands. The only module that sees every other one.
mod bench;
mod bench_drafts;
mod budget;
mod calibrate;
mod changes;
mod check;
mod common;
mod dialect;
mod drafts;
mod env;
mod eval;
mod evaluation;
mod generate;
mod heading;
mod image;
mod issue;
mod keeping;
mod lines;
mod live;
mod locate;
mod models;
mod out;
mod plot;
mod report;
mod runs;
mod runs_watch;
mod sandbox;
mod solve;
mod stop;
mod strategy;
mod strategy_file;
mod tested;
mod values;
mod watch;

#[cfg(test)]
mod help_tests;

use crate::workspace::enter_namespace;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::process::ExitCode;

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
    /// Environments of the code under test: build, list, check, prune.
    Env(env::EnvArgs),
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
    /// List the runs that were made.
    Runs(runs::RunsArgs),
}

/// Parses the arguments and runs the command; an error is one sentence on standard error.
pub fn run() -> ExitCode {
    let error = match parsed() {
        Ok(cli) => {
            let done = cli.run();
            stop::settle();
            keeping::finish();
            match done {
                Ok(()) => return ExitCode::SUCCESS,
                Err(error) => error,
            }
        }
        Err(refused) if refused.use_stderr() => refused.exit(),
        // The help, or the version.
        Err(help) => match out::print_help(&help) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => error.into(),
        },
    };
    if let Some(out::OutputError::Closed) = error.downcast_ref() {
        return ExitCode::SUCCESS;
    }
    out::note(&format!("egss: {}", sentence(&error)));
    match error.downcast_ref() {
        Some(tested::NotTested { .. }) => ExitCode::from(tested::NotTested::STATUS),
        None => ExitCode::FAILURE,
    }
}

impl Command {
    /// True for those that work on copies of a repository.
    fn has_workspaces(&self) -> bool {
        matches!(self, Self::Solve(_) | Self::Eval(_) | Self::Calibrate(_))
    }
}

impl Cli {
    fn run(self) -> anyhow::Result<()> {
        if self.command.has_workspaces()
            && let Err(why) = enter_namespace()
        {
            out::note(&format!(
                "workspaces are whole copies of the repository: {why}"
            ));
        }
        match self.command {
            Command::Solve(args) => args.run(),
            Command::Eval(args) => args.run(),
            Command::Env(args) => args.run(),
            Command::Calibrate(args) => args.run(),
            Command::Generate(args) => args.run(),
            Command::Bench(args) => args.run(),
            Command::Models(args) => args.run(),
            Command::Report(args) => args.run(),
            Command::Runs(args) => args.run(),
        }
    }
}

fn parsed() -> Result<Cli, clap::Error> {
    Cli::from_arg_matches(&command().try_get_matches()?)
}

/// The commands, with their flags arranged below headings. All options take a negative number as
/// a value: it is refused for what it is, not as an option that does not exist.
fn command() -> clap::Command {
    heading::arranged(taking_negative_numbers(Cli::command()))
}

fn taking_negative_numbers(command: clap::Command) -> clap::Command {
    let takes = |arg: clap::Arg| match arg.is_positional() || !arg.get_action().takes_values() {
        true => arg,
        false => arg.allow_negative_numbers(true),
    };
    command
        .mut_args(takes)
        .mut_subcommands(taking_negative_numbers)
}

/// The error with its causes, those left out that it spells out already.
fn sentence(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text += &format!(": {cause}");
        }
    }
    text
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::any::TypeId;

    /// A command line up to its options, of each command that has some.
    pub fn leaves<'a>(
        path: &[&'a str],
        command: &'a clap::Command,
    ) -> Vec<(Vec<&'a str>, &'a clap::Command)> {
        let path = [path, &[command.get_name()]].concat();
        let below = command.get_subcommands();
        let below: Vec<_> = below.flat_map(|sub| leaves(&path, sub)).collect();
        match below.is_empty() {
            true => vec![(path, command)],
            false => below,
        }
    }

    fn is_float(arg: &clap::Arg) -> bool {
        let held = arg.get_value_parser().type_id();
        [TypeId::of::<f32>(), TypeId::of::<f64>()]
            .iter()
            .any(|float| held == *float)
    }

    fn is_whole(arg: &clap::Arg) -> bool {
        let held = arg.get_value_parser().type_id();
        [
            TypeId::of::<u32>(),
            TypeId::of::<u64>(),
            TypeId::of::<usize>(),
        ]
        .iter()
        .any(|whole| held == *whole)
    }

    /// Qwen3#885 (`--seed -1`), llama-cpp-python#1537 (`--top-p nan`).
    #[test]
    fn no_number_of_any_command_takes_a_value_that_it_cannot_mean() {
        let command = command();
        let mut n_tried = 0;
        for (path, leaf) in leaves(&[], &command) {
            for arg in leaf
                .get_arguments()
                .filter(|arg| is_float(arg) || is_whole(arg))
            {
                let name = format!("--{}", arg.get_long().expect("an option"));
                let wrong: &[&str] = match is_float(arg) {
                    true => &["-1", "-0.5", "nan", "NaN", "inf", "1e99", "x"],
                    false => &["-1", "1.5", "18446744073709551616", "nan", "x"],
                };
                for value in wrong {
                    let line = [&path[..], &[&name, value]].concat();
                    let error = Cli::from_line(&line).err().expect("a refusal").to_string();
                    assert!(
                        error.contains(&format!("invalid value '{value}' for '{name}"))
                            && error.contains(" is needed"),
                        "{line:?}: {error}"
                    );
                    n_tried += 1;
                }
            }
        }
        assert!(n_tried > 100, "{n_tried} were tried");
    }

    /// Numbers of which 0 has a meaning, said in the option's help.
    const MAY_BE_ZERO: [&str; 5] = [
        "augment",
        "reasoning-tokens-max",
        "seed",
        "threads",
        "top-k",
    ];

    #[test]
    fn a_zero_is_refused_where_it_makes_no_sense() {
        let command = command();
        for (path, leaf) in leaves(&[], &command) {
            for arg in leaf.get_arguments().filter(|arg| is_whole(arg)) {
                let long = arg.get_long().expect("an option");
                let name = format!("--{long}");
                let line = [&path[..], &[&name, "0"]].concat();
                let error = match Cli::from_line(&line) {
                    Ok(_) => String::new(),
                    Err(error) => error.to_string(),
                };
                let is_refused = error.contains(&format!("invalid value '0' for '{name}"));
                assert_eq!(
                    is_refused,
                    !MAY_BE_ZERO.contains(&long),
                    "{line:?}: {error}"
                );
            }
        }
    }

    impl Cli {
        fn from_line(line: &[&str]) -> Result<Self, clap::Error> {
            Self::from_arg_matches(&command().try_get_matches_from(line)?)
        }
    }
}
