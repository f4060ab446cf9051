//! Which trajectories of a run pass the hidden tests.
use super::sample::{Outcomes, trajectories};
use crate::eval::{EvalError, EvalRow, Task, judge};
use crate::search::RunState;
use crate::verify::TestRunner;
use std::collections::BTreeMap;
use std::path::Path;

/// What follows from a run's row: nothing passes without a patch, nor where no patch
/// does; the selected patch is as the row has it, wherever it occurs.
pub fn known_outcomes(row: &EvalRow, state: &RunState) -> Outcomes {
    let selected = state.selected.as_ref().and_then(|selected| selected.branch);
    let selected = selected.and_then(|branch| state.branch(branch).ended.as_ref());
    let outcome = |patch: &str| match patch {
        "" => Some(false),
        _ if !row.oracle => Some(false),
        _ if selected.is_some_and(|ended| ended.patch == patch) => Some(row.resolved),
        _ => None,
    };
    trajectories(state)
        .filter_map(|ended| Some((ended.branch, outcome(&ended.patch)?)))
        .collect()
}

/// Judges the trajectories whose outcome is not among those given, each patch once.
///
/// Errors: a task that is broken in itself, a sandbox that fails.
pub fn judge_unknown(
    task: &Task,
    state: &RunState,
    runner: &TestRunner<'_>,
    scratch: &Path,
    outcomes: &mut Outcomes,
) -> Result<(), EvalError> {
    let mut judged: BTreeMap<&str, bool> = BTreeMap::new();
    for ended in trajectories(state) {
        if outcomes.contains_key(&ended.branch) {
            continue;
        }
        let patch = ended.patch.as_str();
        let resolved = match judged.get(patch) {
            Some(&resolved) => resolved,
            None => judge(task, patch, runner, scratch)?.resolved,
        };
        judged.insert(patch, resolved);
        outcomes.insert(ended.branch, resolved);
    }
    Ok(())
}
