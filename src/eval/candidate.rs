//! A trajectory's patch as selection saw it, and whether it was right.
use crate::base::BranchId;
use crate::record::{SuiteRun, Voted};
use crate::search::RunState;
use crate::select::CandidatePatch;
use crate::verify::{is_of_suite, pass_rate};
use serde::{Deserialize, Serialize};

/// One of a run's patches, with all that a selection can go by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JudgedCandidate {
    #[serde(flatten)]
    pub seen: CandidatePatch,
    /// It passes every hidden test.
    pub right: bool,
    /// [`CandidatePatch::pass_rate`] over the repository's own tests: without the
    /// issue's examples, and without what anybody wrote in the run.
    pub repository_pass_rate: Option<f32>,
    pub votes: Vec<Voted>,
}

impl JudgedCandidate {
    /// A run's trajectories; `is_right` judges by branch.
    pub fn all(state: &RunState, is_right: impl Fn(BranchId) -> bool) -> Vec<Self> {
        let candidates = state.candidate_patches().into_iter();
        let candidates = candidates.map(|seen| Self {
            right: is_right(seen.branch),
            repository_pass_rate: repository_pass_rate(state, seen.branch),
            votes: votes(state, seen.branch),
            seen,
        });
        candidates.collect()
    }
}

fn repository_pass_rate(state: &RunState, branch: BranchId) -> Option<f32> {
    let (suite, classes) = (state.suite.as_ref()?, state.classes.as_ref()?);
    let mut own = classes.clone();
    own.classes.retain(|(id, _)| !is_of_suite(suite, id));
    let mut runs = state.suite_runs.iter();
    let run: &SuiteRun = runs.find(|run| run.branch == Some(branch))?;
    pass_rate(run, &own)
}

fn votes(state: &RunState, branch: BranchId) -> Vec<Voted> {
    let votes = state.votes.iter().filter(|vote| vote.branch == branch);
    votes.cloned().collect()
}
