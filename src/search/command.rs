//! One thing that a search does.
use crate::base::{BranchDecision, BranchId, StepId};
use crate::record::{BranchStatus, ForkPoint};

/// The next thing that the search does: [`next`](super::next::next) decides it, [`Search`](super::run::Search)
/// carries it out.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Opens a branch: from the prompt, or at a step that is to be taken differently.
    Open {
        forked_from: Option<ForkPoint>,
        reason: String,
    },
    /// Folds old observations of a branch whose context has no room for another step.
    Fold { branch: BranchId },
    /// Brings branches to the start of their next step. The first action of each that does not
    /// take an earlier step differently is decoded, all in one batch.
    Propose { branches: Vec<BranchId> },
    /// Notes whether a branch's step is rolled out.
    Decide {
        branch: BranchId,
        decision: BranchDecision,
    },
    /// Decodes siblings of a branch's first action.
    RollOut(Rollout),
    /// Takes up a candidate that was decoded at the same point before and not carried out.
    TakeUp {
        branch: BranchId,
        /// The step that it was decoded for, and its index there.
        step: StepId,
        index: usize,
    },
    /// Carries a candidate out in a copy of the branch's workspace.
    TryOut { branch: BranchId, index: usize },
    /// Scores the candidates of a branch's step.
    Judge { branch: BranchId },
    /// Carries a candidate out in the branch's workspace: the step is finished.
    CarryOut {
        branch: BranchId,
        chosen: usize,
        decision: BranchDecision,
    },
    /// Ends a branch with its patch.
    End {
        branch: BranchId,
        status: BranchStatus,
    },
    /// All branches of the round have taken their step.
    CloseRound,
    /// The search is over.
    Stop,
}

/// Siblings to decode.
#[derive(Clone, Debug, PartialEq)]
pub struct Rollout {
    pub branch: BranchId,
    /// How many are wanted.
    pub n: usize,
    pub kind: RolloutKind,
    /// Canonical forms of actions that were carried out at this point before: a sibling that
    /// repeats one is dropped.
    pub tried: Vec<String>,
}

/// Why siblings are decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RolloutKind {
    /// Alternatives to an uncertain action.
    Alternatives,
    /// Voters on how uncertain the action is: all are sampled freely.
    Vote,
    /// Other actions at a point that the search came back to.
    Again,
}
