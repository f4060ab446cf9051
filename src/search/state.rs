//! A run as a fold over its events: what the search decides from, and what
//! a killed run resumes with.
//!
//! A model without a gate is gated by its run. [`RunState::signal_before`] gives the figures for
//! that from recorded steps alone, those before the round: all branches of a round count the same
//! steps, so that a run that was killed within a round decides as one that was not. Such a run ends
//! that round first ([`RunState::round_begun`]).
use crate::base::{BranchId, BranchPolicy, GateSignal, StepId, StopRule, ToolName, UsageByPurpose};
use crate::record::{
    BranchEnded, BranchStatus, Event, Folded, FoldedObservation, ForkPoint, RecordLine, RunEnded,
    RunStarted, Selected, StepFinished, StepOutcome, SuiteBuilt, SuiteClassified, SuiteRun,
    TrajectoryJudged, Voted,
};
use crate::select::{CandidatePatch, code_key};
use crate::verify::{is_stated, pass_rate, written_rate};

/// A branch: its steps from the prompt on, those inherited at its fork included.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BranchState {
    pub steps: Vec<StepId>,
    /// The point at which it left another branch; `None` for one from the prompt.
    pub forked_from: Option<ForkPoint>,
    /// Why it was opened: one clause.
    pub reason: String,
    /// How many of the steps were inherited.
    pub n_inherited: usize,
    /// Observations that were folded, each with the number of steps that the branch had
    /// taken by then: a fork before that point has them whole.
    pub folded: Vec<(usize, FoldedObservation)>,
    /// How many steps the run had when it was opened.
    pub n_before: usize,
    pub ended: Option<BranchEnded>,
}

/// Everything that has happened.
#[derive(Clone, Debug, PartialEq)]
pub struct RunState {
    pub start: RunStarted,
    /// Indexed by [`BranchId`].
    pub branches: Vec<BranchState>,
    /// Indexed by [`StepId`].
    pub steps: Vec<StepFinished>,
    /// Observations that gave way to others, in order.
    pub folded: Vec<Folded>,
    /// The suite that was built last, its runs and its tests' classes.
    pub suite: Option<SuiteBuilt>,
    pub suite_runs: Vec<SuiteRun>,
    pub classes: Option<SuiteClassified>,
    /// The suites before it.
    pub earlier_suites: Vec<EarlierSuite>,
    /// Trajectories that were judged whole.
    pub judged: Vec<TrajectoryJudged>,
    pub votes: Vec<Voted>,
    pub selected: Option<Selected>,
    /// Spent up to the last event.
    pub usage: UsageByPurpose,
    /// `None` while the run goes on, or after it was killed.
    pub ended: Option<RunEnded>,
}

/// A suite that gave way to another, with what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct EarlierSuite {
    pub built: Option<SuiteBuilt>,
    pub runs: Vec<SuiteRun>,
    pub classes: Option<SuiteClassified>,
}

impl RunState {
    pub fn new(start: RunStarted) -> Self {
        Self {
            start,
            branches: Vec::new(),
            steps: Vec::new(),
            folded: Vec::new(),
            suite: None,
            suite_runs: Vec::new(),
            classes: None,
            earlier_suites: Vec::new(),
            judged: Vec::new(),
            votes: Vec::new(),
            selected: None,
            usage: UsageByPurpose::default(),
            ended: None,
        }
    }

    /// A record put together. Panics on one that does not begin with its start, which
    /// [`read_record`](crate::record::read_record) does not give.
    pub fn of_record(lines: &[RecordLine]) -> Self {
        let mut events = lines.iter().map(|line| &line.event);
        let Some(Event::RunStarted(start)) = events.next() else {
            panic!("a record begins with its start");
        };
        let mut state = Self::new(start.clone());
        events.for_each(|event| state.apply(event));
        state
    }

    /// Takes one event. Panics on events that no search writes in this order.
    pub fn apply(&mut self, event: &Event) {
        self.usage += event.usage();
        match event {
            Event::RunStarted(_) => panic!("a run starts once"),
            Event::BranchStarted(started) => {
                assert_eq!(
                    started.branch.0 as usize,
                    self.branches.len(),
                    "branches are numbered in order"
                );
                let steps = match started.forked_from {
                    None => Vec::new(),
                    Some(from) => self.steps_before(from.branch, from.step),
                };
                let folded = match started.forked_from {
                    None => Vec::new(),
                    Some(from) => {
                        let all = self.branch(from.branch).folded.iter();
                        all.filter(|(at, _)| *at <= steps.len()).cloned().collect()
                    }
                };
                self.branches.push(BranchState {
                    forked_from: started.forked_from,
                    reason: started.reason.clone(),
                    n_inherited: steps.len(),
                    n_before: self.steps.len(),
                    steps,
                    folded,
                    ended: None,
                });
            }
            Event::StepFinished(step) => {
                assert_eq!(
                    step.step.0 as usize,
                    self.steps.len(),
                    "steps are numbered in order"
                );
                self.branches[step.branch.0 as usize].steps.push(step.step);
                self.steps.push(step.clone());
            }
            Event::Folded(folded) => {
                let branch = &mut self.branches[folded.branch.0 as usize];
                let n_steps = branch.steps.len();
                let new = folded.observations.iter().cloned();
                branch
                    .folded
                    .extend(new.map(|observation| (n_steps, observation)));
                self.folded.push(folded.clone());
            }
            Event::BranchEnded(ended) => {
                self.branches[ended.branch.0 as usize].ended = Some(ended.clone());
            }
            Event::TrajectoryJudged(judged) => self.judged.push(judged.clone()),
            Event::SuiteBuilt(suite) => {
                let earlier = EarlierSuite {
                    built: self.suite.replace(suite.clone()),
                    runs: std::mem::take(&mut self.suite_runs),
                    classes: self.classes.take(),
                };
                if earlier.built.is_some() || !earlier.runs.is_empty() {
                    self.earlier_suites.push(earlier);
                }
                self.judged.clear();
                self.votes.clear();
            }
            Event::SuiteRun(run) => self.suite_runs.push(run.clone()),
            Event::SuiteClassified(classes) => self.classes = Some(classes.clone()),
            Event::Voted(vote) => self.votes.push(vote.clone()),
            Event::Selected(selected) => self.selected = Some(selected.clone()),
            Event::RunEnded(ended) => self.ended = Some(ended.clone()),
        }
    }

    /// The trajectories as selection sees them, by the newest run of the suite. Faults
    /// are those that the selection has noted, if there was one.
    pub fn candidate_patches(&self) -> Vec<CandidatePatch> {
        let unclassed = SuiteClassified::default();
        let classes = self.classes.as_ref().unwrap_or(&unclassed);
        let candidate = |ended: &BranchEnded| {
            let branch = ended.branch;
            let mut runs = self.suite_runs.iter();
            let run = runs.find(|run| run.branch == Some(branch));
            let judged = self.judged.iter().find(|judged| judged.branch == branch);
            let mut ranked = self.selected.iter().flat_map(|s| &s.ranking);
            let ranked = ranked.find(|row| row.branch == branch);
            CandidatePatch {
                branch,
                patch: ended.patch.clone(),
                score: ended.score.or(judged.map(|judged| judged.judge.score)),
                pass_rate: run.and_then(|run| pass_rate(run, classes)),
                not_run: run.map_or(0, |run| run.counts.not_run),
                written_rate: run.and_then(|run| written_rate(run, classes)),
                entropy_mean_nats: ended.entropy_mean_nats,
                code: ended.code.clone(),
                fault: ranked.and_then(|row| row.fault.clone()),
            }
        };
        self.trajectories().into_iter().map(candidate).collect()
    }

    fn steps_before(&self, branch: BranchId, step: StepId) -> Vec<StepId> {
        let steps = &self.branches[branch.0 as usize].steps;
        let at = steps
            .iter()
            .position(|&s| s == step)
            .expect("a branch forks at a step of its parent");
        steps[..at].to_vec()
    }

    /// Wall time of a run that has ended, ms, sittings that were killed included; 0 before.
    pub fn wall_ms(&self) -> u64 {
        self.ended.as_ref().map_or(0, |ended| ended.wall_ms)
    }

    /// The run of the suite on the unpatched base.
    pub fn base_run(&self) -> Option<&SuiteRun> {
        self.suite_runs.iter().find(|run| run.branch.is_none())
    }

    pub fn branch(&self, branch: BranchId) -> &BranchState {
        &self.branches[branch.0 as usize]
    }

    pub fn step(&self, step: StepId) -> &StepFinished {
        &self.steps[step.0 as usize]
    }

    /// The finished steps of a branch, from the prompt on.
    pub fn path(
        &self,
        branch: BranchId,
    ) -> impl DoubleEndedIterator<Item = &StepFinished> + ExactSizeIterator {
        self.branch(branch)
            .steps
            .iter()
            .map(|&step| self.step(step))
    }

    /// Branches that have not ended.
    pub fn living(&self) -> Vec<BranchId> {
        self.ids()
            .filter(|&id| self.branch(id).ended.is_none())
            .collect()
    }

    /// The trajectories: ended branches that left a patch and were not left on
    /// the way; only where there is none, those.
    pub fn trajectories(&self) -> Vec<&BranchEnded> {
        match self.finished() {
            none if none.is_empty() => self.patches().collect(),
            finished => finished,
        }
    }

    /// Ended branches with a patch that the search did not leave: what counts
    /// towards N.
    pub fn finished(&self) -> Vec<&BranchEnded> {
        self.patches()
            .filter(|ended| !ended.status.is_left())
            .collect()
    }

    /// True when a run that stops early has reason to.
    pub fn satisfies(&self, stop: StopRule) -> bool {
        stop.on_pass && self.has_passed() || stop.on_agreement > 0 && self.agree(stop.on_agreement)
    }

    /// True when `wanted` trajectories came to the same code, and no check speaks
    /// against them.
    fn agree(&self, wanted: u32) -> bool {
        let finished = self.finished().into_iter();
        let finished = finished.filter(|ended| self.has_work(ended.branch));
        let keys = finished.map(|ended| code_key(ended.code.as_deref(), &ended.patch));
        let keys: Vec<String> = keys.filter(|key| !key.is_empty()).collect();
        let same = |key: &String| keys.iter().filter(|other| *other == key).count();
        keys.iter().any(|key| same(key) >= wanted as usize)
    }

    /// Canonical forms of edits that failed, or after which a test fails.
    pub fn failed_edits(&self) -> impl Iterator<Item = &str> {
        let failed = |s: &&StepFinished| s.outcome.is_failed_edit();
        let taken = self.steps.iter().filter(failed);
        let taken = taken.map(|s| &s.candidates[s.chosen]);
        let tried = self.steps.iter().flat_map(|s| &s.candidates);
        let tried = tried.filter(|candidate| candidate.has_failed());
        taken.chain(tried).map(|c| c.canonical.as_str())
    }

    /// Ended branches that left a patch.
    fn patches(&self) -> impl Iterator<Item = &BranchEnded> {
        self.branches
            .iter()
            .filter_map(|b| b.ended.as_ref())
            .filter(|ended| !ended.patch.is_empty())
    }

    /// True when a trajectory was handed in that passes every check, a test
    /// among them that fails on the base.
    pub fn has_passed(&self) -> bool {
        let passed = |id: BranchId| {
            let ended = self.branch(id).ended.as_ref();
            ended.is_some_and(|e| e.status == BranchStatus::Submitted) && self.checks_passed(id)
        };
        self.is_check_decisive() && self.ids().any(passed)
    }

    /// The tree of a branch's workspace as it stands.
    pub fn tree(&self, branch: BranchId) -> &str {
        self.path(branch)
            .next_back()
            .map_or(&self.start.base_tree, |step| &step.tree)
    }

    /// The history of a branch: the prompt, then actions and observations. One
    /// that has ended ends with its last action.
    pub fn tokens(&self, branch: BranchId) -> Vec<u32> {
        let mut tokens = self.start.prompt_tokens.clone();
        let last = self.path(branch).next_back().map(|step| step.step);
        let last = last.filter(|_| self.branch(branch).ended.is_some());
        for step in self.path(branch) {
            let taken = &step.candidates[step.chosen];
            tokens.extend(taken.tokens.iter().map(|token| token.token));
            if Some(step.step) != last {
                tokens.extend_from_slice(self.observation_tokens(branch, step));
            }
        }
        tokens
    }

    /// Length of the history of a living branch, tokens.
    pub fn n_tokens(&self, branch: BranchId) -> usize {
        let n_of = |step: &StepFinished| {
            let taken = &step.candidates[step.chosen];
            taken.tokens.len() + self.observation_tokens(branch, step).len()
        };
        self.start.prompt_tokens.len() + self.path(branch).map(n_of).sum::<usize>()
    }

    /// A step's rendered observation as the branch's history has it.
    fn observation_tokens<'a>(&'a self, branch: BranchId, step: &'a StepFinished) -> &'a [u32] {
        let mut folded = self.branch(branch).folded.iter();
        let found = folded.find(|(_, observation)| observation.step == step.step);
        found.map_or(&step.observation_tokens, |(_, observation)| {
            &observation.tokens
        })
    }

    /// True for a step whose observation the branch has folded.
    pub fn is_folded(&self, branch: BranchId, step: StepId) -> bool {
        let mut folded = self.branch(branch).folded.iter();
        folded.any(|(_, observation)| observation.step == step)
    }

    /// Canonical actions already executed from the same point as `step`, by the step
    /// itself and by branches that forked there, and those that failed in a copy.
    pub fn tried_at(&self, step: StepId) -> Vec<&str> {
        let first = self.step(step);
        let siblings = self
            .steps
            .iter()
            .filter(|other| self.is_same_point(other, first));
        let carried_out =
            |s: &'_ StepFinished, at: usize| at == s.chosen || s.candidates[at].has_failed();
        siblings
            .flat_map(|s| {
                let all = s.candidates.iter().enumerate();
                all.filter(move |(at, _)| carried_out(s, *at))
            })
            .map(|(_, candidate)| candidate.canonical.as_str())
            .collect()
    }

    /// True when both steps were taken from the same history.
    pub(super) fn is_same_point(&self, a: &StepFinished, b: &StepFinished) -> bool {
        a.depth == b.depth && self.prefix_of(a) == self.prefix_of(b)
    }

    /// The steps before a step on its own branch.
    pub(super) fn prefix_of(&self, step: &StepFinished) -> &[StepId] {
        let steps = &self.branch(step.branch).steps;
        let at = steps
            .iter()
            .position(|&s| s == step.step)
            .expect("a step lies on its branch");
        &steps[..at]
    }

    /// Mean judge score over the judged steps of a branch; `None` if none was.
    pub fn judge_mean(&self, branch: BranchId) -> Option<f32> {
        let scores = self
            .path(branch)
            .filter_map(|s| s.candidates[s.chosen].judge.as_ref())
            .map(|j| j.score);
        mean(scores)
    }

    /// The signal that gates this run; `None` where no entropy decides.
    pub fn gate_signal(&self) -> Option<GateSignal> {
        let strategy = &self.start.strategy;
        match (&self.start.gate, strategy.policy) {
            (Some(gate), _) => Some(gate.signal),
            (None, BranchPolicy::Gate) => Some(strategy.gate_signal.unwrap_or(GateSignal::DEFAULT)),
            (None, _) => None,
        }
    }

    /// A signal at the first candidate of each step that was finished before the round of
    /// `branch`'s next step, nats, without those at which it was not measured. A run that
    /// was killed within a round so counts the same steps as one that was not.
    pub fn signal_before(&self, branch: BranchId, signal: GateSignal) -> Vec<f32> {
        let (steps, of_round) = (self.steps.iter(), self.of_its_round(branch));
        let before = steps.filter(|step| !of_round(step));
        let nats = before.filter_map(|step| signal.of(&step.candidates.first()?.entropy));
        nats.filter(|nats| nats.is_finite()).collect()
    }

    /// The first step that others took of the round in which the next step of `branch`
    /// belongs; `None` unless the run was killed in the midst of that round.
    pub fn round_begun(&self, branch: BranchId) -> Option<StepId> {
        let of_round = self.of_its_round(branch);
        let first = self.steps.iter().find(|step| of_round(step));
        first.map(|step| step.step)
    }

    /// The first step of the round of the last step; `None` before any. In a round branches
    /// take their steps in the order of their numbers, and none is opened.
    pub fn last_round(&self) -> Option<StepId> {
        let mut first = self.steps.last()?;
        for earlier in self.steps.iter().rev().skip(1) {
            let was_there = self.branch(first.branch).n_before <= earlier.step.0 as usize;
            if earlier.branch >= first.branch || !was_there {
                break;
            }
            first = earlier;
        }
        Some(first.step)
    }

    /// True for a branch that was opened after the last step.
    pub fn is_new(&self, branch: BranchId) -> bool {
        self.branch(branch).n_before == self.steps.len()
    }

    /// Which steps are of the round of `branch`'s next step. In a round all branches that
    /// live take a step, in the order of their numbers: those of lower numbers that came
    /// after its last step are.
    fn of_its_round(&self, branch: BranchId) -> impl Fn(&StepFinished) -> bool {
        let own = self.branch(branch);
        let moved = own.steps[own.n_inherited..].last();
        let since = moved.map_or(own.n_before, |last| last.0 as usize + 1);
        move |step| step.step.0 as usize >= since && step.branch < branch
    }

    /// Mean of a gate signal over the steps of a branch, nats.
    pub fn signal_mean(&self, branch: BranchId, signal: GateSignal) -> Option<f32> {
        mean(
            self.path(branch)
                .filter_map(|s| signal.of(&s.candidates[s.chosen].entropy)),
        )
    }

    /// True when the checks that ran last on a branch, after its last change, passed.
    pub fn checks_passed(&self, branch: BranchId) -> bool {
        self.verdict(branch) == Some(StepOutcome::TestsPassed)
    }

    /// The last verdict of the checks on the branch's files, passed or failed; those on
    /// changes that were taken back do not count.
    fn verdict(&self, branch: BranchId) -> Option<StepOutcome> {
        self.changes(branch).pop()?.verdict
    }

    /// The states that a branch's files went through, the base's first, without those
    /// that `undo` took back. It takes back the last.
    pub fn changes(&self, branch: BranchId) -> Vec<Change<'_>> {
        let mut changes = vec![Change {
            step: None,
            tree: &self.start.base_tree,
            verdict: None,
        }];
        for step in self.path(branch) {
            let last = *changes.last().expect("undo leaves the base");
            let has_changed = step.tree != last.tree;
            if has_changed && is_undo(step) && changes.len() > 1 {
                changes.pop();
                continue;
            }
            let is_verdict = matches!(
                step.outcome,
                StepOutcome::TestsPassed | StepOutcome::TestsFailed
            );
            let verdict = is_verdict.then_some(step.outcome).or(last.verdict);
            if has_changed {
                changes.push(Change {
                    step: Some(step),
                    tree: &step.tree,
                    verdict,
                });
            } else if let Some(last) = changes.last_mut() {
                last.verdict = verdict;
            }
        }
        changes
    }

    /// True for a branch that has changed something which no check speaks against:
    /// it may hand in what it has.
    pub fn has_work(&self, branch: BranchId) -> bool {
        self.tree(branch) != self.start.base_tree
            && self.verdict(branch) != Some(StepOutcome::TestsFailed)
    }

    /// True when the check has a test that fails on the base and must pass on a
    /// patch: passing the check then means something.
    pub fn is_check_decisive(&self) -> bool {
        let Some(suite) = &self.suite else {
            return false;
        };
        self.base_run()
            .is_some_and(|run| run.tests.iter().any(|test| is_stated(suite, test)))
    }

    pub fn ids(&self) -> impl DoubleEndedIterator<Item = BranchId> + use<> {
        (0..self.branches.len() as u32).map(BranchId)
    }
}

/// A state of a branch's files.
#[derive(Clone, Copy)]
pub struct Change<'a> {
    /// The step that made it; `None` for the base.
    pub step: Option<&'a StepFinished>,
    pub tree: &'a str,
    /// Passed or failed, where a check ran on it or on the state before.
    pub verdict: Option<StepOutcome>,
}

fn is_undo(step: &StepFinished) -> bool {
    let tool = step.candidates[step.chosen].tool.as_deref();
    tool.and_then(ToolName::named) == Some(ToolName::Undo)
}

fn mean(values: impl Iterator<Item = f32>) -> Option<f32> {
    let (sum, n) = values.fold((0.0, 0), |(sum, n), value| (sum + value, n + 1));
    (n > 0).then(|| sum / n as f32)
}
