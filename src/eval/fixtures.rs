//! Rows for tests.
use super::candidate::JudgedCandidate;
use super::row::EvalRow;
use crate::base::{BranchId, UsageByPurpose};

/// A run in which some patch is right, and whose judge took 5 computed tokens.
pub(super) fn row(task: &str, strategy: &str, seed: u64, resolved: bool, decoded: u64) -> EvalRow {
    let mut usage = UsageByPurpose::default();
    usage.agent.decoded_tokens = decoded;
    usage.judge.computed_tokens = 5;
    EvalRow {
        instance_id: task.into(),
        strategy: strategy.into(),
        seed,
        settings: String::new(),
        resolved,
        oracle: true,
        fault: None,
        n_trajectories: 2,
        n_branches: 2,
        n_steps: 3,
        usage,
        wall_ms: 1_500,
        selected: None,
        candidates: Vec::new(),
    }
}

/// The same run with one candidate, which is selected.
pub(super) fn with_patch(mut row: EvalRow, patch: &str) -> EvalRow {
    row.selected = Some(BranchId(0));
    let right = row.resolved;
    row.candidates = vec![JudgedCandidate::known(
        BranchId(0),
        patch,
        Vec::new(),
        right,
    )];
    row
}
