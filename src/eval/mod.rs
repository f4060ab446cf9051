//! Tasks with hidden tests: strategies run over them, patches judged, rows summed up
//! and compared, with intervals; entropy held against what came out.
pub mod calibration;
mod candidate;
mod cannot_run;
mod comparison;
#[cfg(test)]
mod fixtures;
mod gold_check;
mod grader;
mod judge;
mod location_choice;
mod predictions;
pub mod recall;
mod rescore;
mod results;
mod row;
mod run;
mod statistics;
mod summary;
pub mod swebench;
mod table;
mod task;

pub use candidate::JudgedCandidate;
pub use cannot_run::CannotRun;
pub use comparison::{Comparison, compare};
pub use gold_check::{GoldCheck, GoldChecks, gold_check};
pub use grader::{Grader, Place};
pub use judge::{Verdict, hidden_runner, judge};
pub use location_choice::{ChoiceCertainty, ChosenRanks, LocationChosen, Order};
pub use predictions::write_predictions;
pub use rescore::{Rescored, rescore, rescored_table};
pub use row::EvalRow;
pub use run::{
    EvalDone, EvalProgress, EvalRequest, EvalWorker, Evaluated, NotRun, Prefixes, Solver, evaluate,
};
pub use statistics::{Estimate, auroc, bootstrap, mcnemar_p};
pub use summary::{Compared, StrategySummary, summarise};
pub use table::{comparison_table, markdown_table};
pub use task::{Task, read_tasks};

use crate::lang::LangError;
use crate::search::SearchError;
use crate::verify::VerifyError;
use crate::workspace::WorkspaceError;
use std::path::PathBuf;

/// What can go wrong with an evaluation. An unresolved task is no error.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "the disk that holds {} is full; free some space, then go on with --resume: finished runs are kept",
        .0.display()
    )]
    DiskFull(PathBuf),
    #[error("{}:{line}: not a task: {why}", path.display())]
    Malformed {
        path: PathBuf,
        line: usize,
        why: String,
    },
    #[error("{} holds no task: it has no line but empty ones", path.display())]
    NoTask { path: PathBuf },
    #[error("{place}: task {task}: {why}")]
    Task {
        place: String,
        task: String,
        why: String,
    },
    #[error("{}:{line}: not a result ({source}); move the file away to start anew", path.display())]
    Results {
        path: PathBuf,
        line: usize,
        source: serde_json::Error,
    },
    #[error(
        "{} holds {n} results without the runs that they came from, whose steps are needed; name another folder by --out, and the runs are made there",
        out.display()
    )]
    RowsAlone { n: usize, out: PathBuf },
    #[error(
        "too few tasks to calibrate by: {n} with a step, where what is fitted on one half has to be tried on the other; give two or more"
    )]
    TooFewTasks { n: usize },
    #[error("nothing can be learnt from these {n} trajectories: {}; give tasks or a strategy of which some pass and some fail", if *resolved { "all pass the hidden tests" } else { "none passes the hidden tests" })]
    OneOutcome { n: usize, resolved: bool },
    #[error(
        "{signal} was measured at no step of one half of the tasks, so it cannot gate; name another --signal, or run with --gate {signal}:0 to measure it"
    )]
    NotMeasured { signal: &'static str },
    #[error(
        "{} holds no run: there is no record.jsonl in it or below it; give folders that `egss solve --out` or `egss eval --out` made",
        Paths(.dirs)
    )]
    NoRecord { dirs: Vec<PathBuf> },
    #[error("no run there is of the model {model}; they are of {others}: name one by --model")]
    NoRunOf { model: String, others: String },
    #[error(
        "{signal} was measured at {n} steps of these runs, and a gate is learnt from {} or more, so that the share that it rolls out is near the one asked for; name another --signal, or run more issues: until then each run gates itself",
        calibration::OWN_STEPS_MIN
    )]
    TooFewSteps { signal: &'static str, n: usize },
    #[error("{0}")]
    Grader(String),
    #[error(transparent)]
    Search(#[from] SearchError),
    #[error(transparent)]
    Lang(#[from] LangError),
    #[error(transparent)]
    Verify(#[from] VerifyError),
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
}

impl EvalError {
    fn io(what: &'static str, path: &std::path::Path, source: std::io::Error) -> Self {
        if source.kind() == std::io::ErrorKind::StorageFull {
            return Self::DiskFull(path.to_owned());
        }
        Self::Io {
            what,
            path: path.to_owned(),
            source,
        }
    }
}

/// Paths in a clause.
struct Paths<'a>(&'a [PathBuf]);

impl std::fmt::Display for Paths<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all: Vec<String> = self.0.iter().map(|p| p.display().to_string()).collect();
        f.write_str(&all.join(", "))
    }
}
