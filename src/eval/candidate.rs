//! A trajectory's patch as selection saw it, and whether it was right.
use super::judge::Verdict;
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
    /// The hidden tests that it does not pass, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<String>,
    /// [`CandidatePatch::pass_rate`] over the repository's own tests: without the
    /// issue's examples, and without what anybody wrote in the run.
    pub repository_pass_rate: Option<f32>,
    pub votes: Vec<Voted>,
}

impl JudgedCandidate {
    /// A patch that no run came to.
    pub fn known(branch: BranchId, patch: &str, failed: Vec<String>, right: bool) -> Self {
        Self {
            seen: CandidatePatch {
                branch,
                patch: patch.to_owned(),
                score: None,
                pass_rate: None,
                not_run: 0,
                written_rate: None,
                entropy_mean_nats: None,
                code: None,
                fault: None,
            },
            right,
            failed,
            repository_pass_rate: None,
            votes: Vec::new(),
        }
    }

    /// A run's trajectories; `verdict_on` judges by branch.
    pub fn all<'a>(
        state: &RunState,
        verdict_on: impl Fn(BranchId) -> Option<&'a Verdict>,
    ) -> Vec<Self> {
        let candidates = state.candidate_patches().into_iter();
        let candidates = candidates.map(|seen| Self {
            right: verdict_on(seen.branch).is_some_and(|verdict| verdict.resolved),
            failed: verdict_on(seen.branch).map_or(Vec::new(), |verdict| verdict.failed.clone()),
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
