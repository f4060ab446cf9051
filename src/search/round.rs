//! The steps that are being decided: plain data, not in the record before they are carried out.
use super::draft::Draft;
use super::state::RunState;
use crate::base::{BranchDecision, BranchId, StepId};
use crate::record::BranchStatus;

/// A round, in which every living branch takes a step.
#[derive(Clone, Debug, Default)]
pub struct Round {
    /// The number of its first step; `None` between rounds.
    pub first: Option<StepId>,
    /// Branches that have yet to take their step, in the order of their numbers.
    pub waiting: Vec<BranchId>,
    /// Steps that are being decided, of all or of the first of `waiting`.
    pub proposals: Vec<Proposal>,
    /// Branches take their steps one after the other, each with the KV pool for itself.
    pub is_alone: bool,
    /// Everything else was released: what does not fit into the KV pool now never will.
    pub made_room: bool,
    /// Branches that cannot go on, and how they end.
    pub given_up: Vec<(BranchId, BranchStatus)>,
    /// Branches whose old observations were folded for this step.
    pub folded: Vec<BranchId>,
}

/// A step that is being decided.
#[derive(Clone, Debug)]
pub struct Proposal {
    pub branch: BranchId,
    /// The step that this one takes differently.
    pub redo: Option<StepId>,
    /// Its call views one of the run's locations.
    pub is_locating: bool,
    /// Tokens before the action.
    pub n_before: usize,
    /// Distinct candidates; the first is the one that was decoded first.
    pub drafts: Vec<Draft>,
    pub decision: Option<BranchDecision>,
    /// Siblings were decoded.
    pub is_rolled_out: bool,
    /// The judge was asked.
    pub is_judged: bool,
    /// The candidate of an earlier step that was taken up.
    pub taken_up: Option<(StepId, usize)>,
    /// Candidates of earlier steps that only give the code back as it is.
    pub passed_over: Vec<(StepId, usize)>,
}

impl Proposal {
    /// At the start of a step, with nothing decoded.
    pub fn new(branch: BranchId, redo: Option<StepId>, is_locating: bool, n_before: usize) -> Self {
        Self {
            branch,
            redo,
            is_locating,
            n_before,
            drafts: Vec::new(),
            decision: None,
            is_rolled_out: false,
            is_judged: false,
            taken_up: None,
            passed_over: Vec::new(),
        }
    }
}

impl Round {
    /// The round in which a run stands that was stopped: the beam has yet to be filled, unless
    /// some branches have yet to take their step.
    pub fn of(state: &RunState) -> Self {
        let is_amid = |&branch: &BranchId| state.round_begun(branch).is_some();
        Self {
            first: match state.living().iter().any(is_amid) {
                true => None,
                false => state.last_round(),
            },
            ..Self::default()
        }
    }

    /// Begins with the steps of these branches; a round that was stopped in its midst goes on.
    pub fn begin(&mut self, state: &RunState, branches: &[BranchId]) {
        if self.first.is_none() {
            let begun = branches
                .iter()
                .filter_map(|&branch| state.round_begun(branch));
            let first = begun.min().unwrap_or(StepId(state.steps.len() as u32));
            self.first = Some(first);
            self.waiting = branches.to_vec();
        }
    }

    /// Takes note that the KV pool was too full for what was asked: first everything else is
    /// released, then branches go one by one, then the branch is given up. Nothing that was
    /// being decided stays.
    pub fn crowd(&mut self) {
        self.proposals.clear();
        match (self.is_alone, self.made_room) {
            (_, false) => self.made_room = true,
            (false, true) => {
                self.is_alone = true;
                self.made_room = false;
            }
            (true, true) => {
                let first = self.waiting.first();
                let end = first.map(|&branch| (branch, BranchStatus::KvPoolFull));
                self.given_up.extend(end);
                self.made_room = false;
            }
        }
    }

    /// Takes note that a branch has taken its step, or ended.
    pub fn done(&mut self, branch: BranchId) {
        self.waiting.retain(|&other| other != branch);
        self.proposals.retain(|other| other.branch != branch);
        self.given_up.retain(|(other, _)| *other != branch);
        self.folded.retain(|&other| other != branch);
        self.made_room &= !self.is_alone;
    }

    /// The proposal of a branch. Panics if there is none.
    pub fn proposal(&mut self, branch: BranchId) -> &mut Proposal {
        let mut all = self.proposals.iter_mut();
        let found = all.find(|proposal| proposal.branch == branch);
        found.expect("a command is for a step that is being decided")
    }
}
