//! Rows for tests.
use super::row::EvalRow;
use crate::base::UsageByPurpose;

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
