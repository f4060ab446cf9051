//! Which trajectories of a run pass the hidden tests.
use super::sample::{Outcomes, trajectories};
use crate::eval::{EvalError, EvalRow, Task, judge};
use crate::search::RunState;
use crate::verify::TestRunner;
use std::collections::BTreeMap;
use std::path::Path;

/// What follows from a run's row: nothing passes without a patch, and a patch that was
/// judged is as the row has it, wherever it occurs. Branches that the search left on
/// the way were not all judged.
pub fn known_outcomes(row: &EvalRow, state: &RunState) -> Outcomes {
    let outcome = |patch: &str| match patch {
        "" => Some(false),
        _ => {
            let mut judged = row.candidates.iter().filter(|c| c.seen.patch == patch);
            judged.next().map(|candidate| candidate.right)
        }
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
