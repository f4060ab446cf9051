//! What came of one run.
use super::candidate::JudgedCandidate;
use crate::base::{BranchId, Purpose, UsageByPurpose};
use serde::{Deserialize, Serialize};

/// One strategy on one task with one seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvalRow {
    pub instance_id: String,
    pub strategy: String,
    pub seed: u64,
    /// Of the strategy, the gate, the budget and the model: rows of others are
    /// not taken for this one's.
    #[serde(default)]
    pub settings: String,
    /// The selected patch passes every hidden test.
    pub resolved: bool,
    /// Some trajectory's patch does.
    pub oracle: bool,
    /// Why the patch could not be judged, or that there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    pub n_trajectories: u32,
    pub n_branches: u32,
    pub n_steps: u32,
    pub usage: UsageByPurpose,
    pub wall_ms: u64,
    /// The trajectory whose patch was selected.
    pub selected: Option<BranchId>,
    /// Every trajectory with a patch.
    pub candidates: Vec<JudgedCandidate>,
}

impl EvalRow {
    /// The selected patch; empty where there is none.
    pub fn patch(&self) -> &str {
        let mut candidates = self.candidates.iter().map(|candidate| &candidate.seen);
        let selected = candidates.find(|seen| Some(seen.branch) == self.selected);
        selected.map_or("", |seen| &seen.patch)
    }

    /// Of the folder below `runs/` that holds its record.
    pub fn run_name(&self) -> String {
        run_name(&self.instance_id, &self.strategy, self.seed, &self.settings)
    }

    /// Two rows of the same run differ in nothing else.
    pub fn forget_times(&mut self) {
        self.wall_ms = 0;
        for purpose in Purpose::ALL {
            self.usage[purpose].wall_ms = 0;
        }
    }
}

pub(super) fn run_name(task: &str, strategy: &str, seed: u64, settings: &str) -> String {
    format!("{task}-{strategy}-seed{seed}-{settings}")
}
