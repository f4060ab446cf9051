//! A table of decisions: the state of a run, and what comes next.
mod branches;
mod rounds;
mod steps;
mod world;

use super::{Command, Rollout, RolloutKind};
use crate::record::{Candidate, ForkPoint};
use world::{World, candidate};

/// A command without the clauses that it gives a person.
fn short(command: Command) -> String {
    match command {
        Command::Open { forked_from, .. } => match forked_from {
            None => "open".into(),
            Some(ForkPoint { branch, step }) => format!("open at step {step} of {branch}"),
        },
        Command::Fold { branch } => format!("fold {branch}"),
        Command::Propose { branches } => {
            let names: Vec<String> = branches.iter().map(ToString::to_string).collect();
            format!("propose {}", names.join(" "))
        }
        Command::Decide { branch, decision } => match decision.branch {
            true => format!("decide {branch}: {} candidates", decision.candidates),
            false => format!("decide {branch}: one"),
        },
        Command::RollOut(Rollout {
            branch,
            n,
            kind,
            tried,
        }) => {
            let kind = match kind {
                RolloutKind::Alternatives => "alternatives",
                RolloutKind::Vote => "voters",
                RolloutKind::Again => "others",
            };
            match tried.is_empty() {
                true => format!("roll out {branch}: {n} {kind}"),
                false => format!("roll out {branch}: {n} {kind} than {}", tried.join(" ")),
            }
        }
        Command::TakeUp {
            branch,
            step,
            index,
        } => format!("take up {branch}: {index} of step {step}"),
        Command::TryOut { branch, index } => format!("try out {branch}: {index}"),
        Command::Judge { branch } => format!("judge {branch}"),
        Command::CarryOut { branch, chosen, .. } => format!("carry out {branch}: {chosen}"),
        Command::End { branch, status } => format!("end {branch}: {}", status.clause()),
        Command::CloseRound => "close".into(),
        Command::Stop => "stop".into(),
    }
}

/// Fails with the case's sentence where `world` comes to something else than `wanted`.
fn check(cases: &[(&str, World, &str)]) {
    for (name, world, wanted) in cases {
        assert_eq!(short(world.next()), *wanted, "{name}");
    }
}

fn edits() -> Vec<Candidate> {
    vec![candidate("a"), candidate("b")]
}
