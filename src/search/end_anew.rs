//! A finished run, ended another way: what was decoded stands, and nothing is added to it.
//!
//! The record of the same search is cut where another stop rule would have ended it. Tests and
//! selection come after that, anew. `egss eval --resume` does so for runs that differ from those
//! that are asked for in nothing else.
use super::clock::Clock;
use super::error::SearchError;
use super::patch::code_of;
use super::solve::{SolveRequest, Tools, resume_by, with_bench};
use super::state::RunState;
use crate::base::{SelectBy, StopRule, Strategy};
use crate::record::{Event, RECORD_FILE, RecordLine, RunStarted, read_record};
use std::path::Path;

/// The run in `old_dir` as `request` would have ended it, in `run_dir`: the search up to
/// where its strategy would have stopped, then tests and selection anew.
///
/// `None`, and nothing in `run_dir`, where the old run has not ended or was asked for
/// something else than another stop rule and selection, where selecting asks a model, or
/// where the search would have gone on.
pub fn end_anew(
    old_dir: &Path,
    run_dir: &Path,
    request: &SolveRequest<'_>,
    tools: Tools<'_>,
) -> Result<Option<RunState>, SearchError> {
    let (mut lines, _) = read_record(&old_dir.join(RECORD_FILE))?;
    let old = RunState::of_record(&lines);
    if old.ended.is_none() || !is_same_search(&old.start, request) || asks_a_model(request.strategy)
    {
        return Ok(None);
    }
    copy(old_dir, run_dir)?;
    let n_branches = with_bench(run_dir, &old.start, tools.sandbox, |_, bench, _| {
        for line in &mut lines {
            match &mut line.event {
                Event::RunStarted(start) => start.strategy = request.strategy.clone(),
                // Older records have no digests.
                Event::BranchEnded(ended)
                    if ended.code.is_none()
                        && !ended.patch.is_empty()
                        && request.strategy.n > 1 =>
                {
                    ended.code = code_of(bench, old.tree(ended.branch))?;
                }
                _ => {}
            }
        }
        let n_branches = cut(&mut lines, request.strategy.stop);
        let text = lines.iter().map(|line| {
            let line = serde_json::to_string(line).expect("events serialise to JSON");
            line + "\n"
        });
        let record = run_dir.join(RECORD_FILE);
        std::fs::write(&record, text.collect::<String>()).map_err(|source| SearchError::Io {
            what: "write",
            path: record,
            source,
        })?;
        Ok(n_branches)
    })?;
    // The old run's time is no limit of this end.
    let state = resume_by(run_dir, tools, Clock::with_a_long_end)?;
    if state.branches.len() == n_branches {
        return Ok(Some(state));
    }
    remove(run_dir)?;
    Ok(None)
}

/// Cuts a record behind the branch with whose end the search is over; gives the number
/// of branches until then.
fn cut(lines: &mut Vec<RecordLine>, stop: StopRule) -> usize {
    let Some(Event::RunStarted(start)) = lines.first().map(|line| line.event.clone()) else {
        panic!("a record begins with its start");
    };
    let mut state = RunState::new(start);
    let (mut end, mut n_branches) = (1, 0);
    for (at, line) in lines.iter().enumerate().skip(1) {
        state.apply(&line.event);
        if matches!(line.event, Event::BranchEnded(_)) {
            (end, n_branches) = (at + 1, state.branches.len());
            if state.living().is_empty() && state.satisfies(stop) {
                break;
            }
        }
    }
    lines.truncate(end);
    n_branches
}

/// True where nothing but the end may differ, and where the end cannot come while other
/// branches live.
fn is_same_search(old: &RunStarted, request: &SolveRequest<'_>) -> bool {
    let ended_alike = Strategy {
        stop: request.strategy.stop,
        select: request.strategy.select,
        voters: request.strategy.voters.clone(),
        ..old.strategy.clone()
    };
    let one_by_one = request.strategy.beam == 1 && !request.strategy.at_once;
    ended_alike == *request.strategy
        && (one_by_one || old.strategy.stop == request.strategy.stop)
        && old.model == request.model
        && old.issue == request.issue
        && old.seed == request.seed
        && old.budget == request.budget
        && old.gate == request.strategy.gate(&request.gates)
        && old.profile == request.profile.clone().in_context(old.ctx_tokens)
        && old.test_cmd == request.own_tests.command
        && old.junit == request.own_tests.junit
}

fn asks_a_model(strategy: &Strategy) -> bool {
    let looks = matches!(strategy.select, SelectBy::Tests | SelectBy::Preference);
    looks || strategy.augment.cases_max > 0
}

/// Copies a run's folder.
fn copy(from: &Path, to: &Path) -> Result<(), SearchError> {
    let io = |source| SearchError::Io {
        what: "copy the run to",
        path: to.to_owned(),
        source,
    };
    std::fs::create_dir_all(to).map_err(io)?;
    for entry in std::fs::read_dir(from).map_err(io)? {
        let entry = entry.map_err(io)?;
        let into = to.join(entry.file_name());
        match entry.file_type().map_err(io)?.is_dir() {
            true => copy(&entry.path(), &into)?,
            false => {
                std::fs::copy(entry.path(), into).map_err(io)?;
            }
        }
    }
    Ok(())
}

fn remove(dir: &Path) -> Result<(), SearchError> {
    std::fs::remove_dir_all(dir).map_err(|source| SearchError::Io {
        what: "remove",
        path: dir.to_owned(),
        source,
    })
}
