//! Runs that an evaluation left on disk.
use crate::base::{Gate, Strategy};
use crate::eval::results::{RESULTS_FILE, read_results};
use crate::eval::{EvalError, EvalRequest, EvalRow};
use crate::record::{Event, RECORD_FILE, RecordLine, RunStarted, read_record};
use crate::search::{RunState, SearchError};
use std::path::Path;

/// A finished run and its row.
pub struct StoredRun {
    pub row: EvalRow,
    pub state: RunState,
}

/// The finished runs below `request.out` that are what the request asks for: of its
/// tasks, seeds and strategies, with its model, budget and gate.
///
/// Errors: a row or a record that cannot be read; rows alone, without any record.
pub fn stored_runs(request: &EvalRequest<'_>) -> Result<Vec<StoredRun>, EvalError> {
    let (mut found, mut n_rows_alone) = (Vec::new(), 0);
    for row in read_results(&request.out.join(RESULTS_FILE))?.0 {
        let is_wanted = request.seeds.contains(&row.seed)
            && (request.tasks.iter()).any(|task| task.instance_id == row.instance_id);
        let strategy = request.strategies.iter().find(|s| s.name == row.strategy);
        let (true, Some(strategy)) = (is_wanted, strategy) else {
            continue;
        };
        let Some(lines) = record(&request.out.join("runs").join(row.run_name()))? else {
            n_rows_alone += 1;
            continue;
        };
        let start = started(&lines);
        if start.strategy == *strategy
            && start.gate == strategy.gate(&request.gates)
            && is_alike(start, request)
        {
            let state = RunState::of_record(&lines);
            found.push(StoredRun { row, state });
        }
    }
    match found.is_empty() && n_rows_alone > 0 {
        true => Err(EvalError::RowsAlone {
            n: n_rows_alone,
            out: request.out.to_owned(),
        }),
        false => Ok(found),
    }
}

/// The gate that runs of a strategy below the request's folder were made with, so that a
/// folder stays good after its gate was changed by what it taught: that of the request where
/// there is such a run or none at all, else that of the latest.
pub fn gate_in_use(
    request: &EvalRequest<'_>,
    strategy: &Strategy,
) -> Result<Option<Gate>, EvalError> {
    let asked = strategy.gate(&request.gates);
    let mut latest: Option<RunStarted> = None;
    for row in read_results(&request.out.join(RESULTS_FILE))?.0 {
        // A record is large: those of other strategies are not read.
        if strategy.name != row.strategy {
            continue;
        }
        let Some(lines) = record(&request.out.join("runs").join(row.run_name()))? else {
            continue;
        };
        let start = started(&lines);
        if start.strategy != *strategy || !is_alike(start, request) {
            continue;
        }
        if start.gate == asked {
            return Ok(asked);
        }
        if (latest.as_ref()).is_none_or(|known| known.started_at_s <= start.started_at_s) {
            latest = Some(start.clone());
        }
    }
    Ok(match latest {
        Some(start) => start.gate,
        None => asked,
    })
}

fn is_alike(start: &RunStarted, request: &EvalRequest<'_>) -> bool {
    start.model == request.model && start.budget == request.budget
}

/// `None` where there is no record.
fn record(run_dir: &Path) -> Result<Option<Vec<RecordLine>>, EvalError> {
    let path = run_dir.join(RECORD_FILE);
    match path.exists() {
        true => Ok(Some(read_record(&path).map_err(SearchError::from)?.0)),
        false => Ok(None),
    }
}

pub(super) fn started(lines: &[RecordLine]) -> &RunStarted {
    match lines.first().map(|line| &line.event) {
        Some(Event::RunStarted(start)) => start,
        _ => panic!("the reader refuses a record without a start"),
    }
}
