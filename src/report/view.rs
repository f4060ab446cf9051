//! A run as a report sees it: the state that its record amounts to.
use crate::base::{BranchId, GateSignal, StepId, UsageByPurpose};
use crate::lang::Encoding;
use crate::record::{
    BranchEnded, Candidate, Folded, ForkPoint, JudgeScore, PatchPart, RecordLine, RunEnded,
    RunStarted, Selected, StepFinished, SuiteBuilt, SuiteClassified, SuiteRun, TestClass,
    TestOutcome, TestResult, TrajectoryJudged, Voted,
};
use crate::search::{BranchState, EarlierSuite, RunState};
use crate::verify::unmet;
use std::borrow::Cow;

/// Everything that a record says of a run, put together.
///
/// Steps are named by their index in `steps` (finishing order), so a look-up
/// never fails; ids are for display and links.
#[derive(Clone, Debug, PartialEq)]
pub struct RunView {
    pub start: RunStarted,
    /// In the order in which they started.
    pub branches: Vec<BranchView>,
    /// In the order in which they finished.
    pub steps: Vec<StepFinished>,
    /// Observations that gave way to others, in order.
    pub folded: Vec<Folded>,
    /// Every suite that was built, each with its runs; the last one counts.
    pub suites: Vec<SuiteView>,
    /// Trajectories that were judged whole.
    pub judged: Vec<TrajectoryJudged>,
    pub votes: Vec<Voted>,
    pub selected: Option<Selected>,
    /// `None` while the run goes on, or after it was killed.
    pub ended: Option<RunEnded>,
    /// Milliseconds of work up to the last event.
    pub elapsed_ms: u64,
    /// The sum that the events so far spent.
    spent: UsageByPurpose,
}

/// A branch: where it came from, what it did, how it ended.
#[derive(Clone, Debug, PartialEq)]
pub struct BranchView {
    pub id: BranchId,
    pub forked_from: Option<ForkPoint>,
    pub reason: String,
    /// Indices of the steps it shares with the branch that it left.
    pub shared_steps: Vec<usize>,
    /// Indices of its own steps.
    pub own_steps: Vec<usize>,
    /// `None` while it is alive.
    pub ended: Option<BranchEnded>,
}

/// One consolidated suite and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct SuiteView {
    /// `None` in a record that runs the repository's own tests only.
    pub built: Option<SuiteBuilt>,
    /// The newest run of the base and of each branch.
    pub runs: Vec<SuiteRun>,
    pub classified: SuiteClassified,
}

impl RunView {
    /// A record as [`read_record`](crate::record::read_record) gives it, folded by [`RunState`].
    ///
    /// Panics if the first line is not `run_started`: the reader refuses such a record.
    pub fn new(lines: Vec<RecordLine>) -> Self {
        let elapsed_ms = lines.last().map_or(0, |line| line.elapsed_ms);
        let state = RunState::of_record(&lines);
        drop(lines);
        let last = EarlierSuite {
            built: state.suite,
            runs: state.suite_runs,
            classes: state.classes,
        };
        let has_last = last.built.is_some() || !last.runs.is_empty();
        let suites = state.earlier_suites.into_iter();
        let ids = (0..).map(BranchId);
        Self {
            start: state.start,
            branches: ids
                .zip(state.branches)
                .map(|(id, branch)| BranchView::new(id, branch))
                .collect(),
            steps: state.steps,
            folded: state.folded,
            suites: suites
                .chain(has_last.then_some(last))
                .map(SuiteView::new)
                .collect(),
            judged: state.judged,
            votes: state.votes,
            selected: state.selected,
            ended: state.ended,
            elapsed_ms,
            spent: state.usage,
        }
    }

    /// The branch of that id, if it has started.
    pub fn branch(&self, id: BranchId) -> Option<&BranchView> {
        self.branches.iter().find(|branch| branch.id == id)
    }

    /// The step of that id, if it has finished.
    pub fn step(&self, id: StepId) -> Option<&StepFinished> {
        self.steps.iter().find(|step| step.step == id)
    }

    /// The branch whose patch was selected.
    pub fn winner(&self) -> Option<&BranchView> {
        self.branch(self.selected.as_ref()?.branch?)
    }

    /// True if the branch's patch was selected.
    pub fn is_winner(&self, id: BranchId) -> bool {
        self.winner().is_some_and(|winner| winner.id == id)
    }

    /// Branches that ended with a patch, in the order in which they started.
    pub fn patched(&self) -> impl Iterator<Item = (&BranchView, &BranchEnded)> {
        self.branches.iter().filter_map(|branch| {
            let ended = branch.ended.as_ref()?;
            (!ended.patch.is_empty()).then_some((branch, ended))
        })
    }

    /// The suite that counts: the last one with a run, else the last one built.
    pub fn suite(&self) -> Option<&SuiteView> {
        self.suites
            .iter()
            .rfind(|suite| !suite.runs.is_empty())
            .or(self.suites.last())
    }

    /// The newest judgement of a branch's trajectory as a whole.
    pub fn judged(&self, id: BranchId) -> Option<&JudgeScore> {
        let found = self.judged.iter().rfind(|judged| judged.branch == id);
        found.map(|judged| &judged.judge)
    }

    /// Where in an action a branch left another; `None` for one that left
    /// before the action's first token, or that left none.
    pub fn seam(&self, branch: &BranchView) -> Option<Seam> {
        let fork = branch.forked_from?;
        let taken = chosen(&self.steps[*branch.own_steps.first()?])?;
        if taken.forked_at == 0 {
            return None;
        }
        // It left the action that was decoded first, which need not be the one
        // that was carried out: only what both share is drawn as shared.
        let left = chosen(self.step(fork.step)?)?;
        let pairs = taken.tokens.iter().zip(&left.tokens);
        let n_shared = pairs.take_while(|(a, b)| a.token == b.token).count();
        (n_shared > 0).then_some(Seam {
            n_shared: n_shared.min(taken.forked_at),
            n_tokens: left.tokens.len(),
        })
    }

    /// Stated examples of the issue that the winner does not pass.
    pub fn unmet(&self) -> Vec<&str> {
        let run = self.suite().zip(self.winner());
        let run = run.and_then(|(suite, winner)| Some((suite, suite.run_on(Some(winner.id))?)));
        run.map_or(Vec::new(), |(suite, run)| suite.unmet(run))
    }

    /// True where a test ran on the winner's patch.
    pub fn is_tested(&self) -> bool {
        let run = self.suite().zip(self.winner());
        let run = run.and_then(|(suite, winner)| suite.run_on(Some(winner.id)));
        let ran = |test: &TestOutcome| test.result != TestResult::Skipped;
        run.is_some_and(|run| run.tests.iter().any(ran))
    }

    /// Why nothing is tested, where the tests on the base say so.
    pub fn untested_because(&self) -> Option<&str> {
        let base = self.suite()?.run_on(None)?;
        base.fault.as_deref().filter(|_| base.tests.is_empty())
    }

    /// New files that the winner's patch lacks, because git ignores them.
    pub fn ignored(&self) -> &[String] {
        let ended = self.winner().and_then(|winner| winner.ended.as_ref());
        ended.map_or(&[], |ended| &ended.ignored)
    }

    /// Why the repository did not take the patch at the end; a clause.
    pub fn not_applying(&self) -> Option<&str> {
        self.ended.as_ref()?.not_applying.as_deref()
    }

    /// What was spent: the run's own total, or the sum over the events so far.
    pub fn usage(&self) -> UsageByPurpose {
        self.ended.as_ref().map_or(self.spent, |ended| ended.usage)
    }

    /// Decoded tokens that were reasoning; what a sibling shares with the action
    /// that it left was decoded once.
    pub fn reasoning_tokens(&self) -> u64 {
        let candidates = self.steps.iter().flat_map(|step| &step.candidates);
        candidates
            .map(|c| c.entropy.n_reasoning_tokens.saturating_sub(c.forked_at) as u64)
            .sum()
    }

    /// Wall time of the run, or of its record so far, ms.
    pub fn wall_ms(&self) -> u64 {
        self.ended
            .as_ref()
            .map_or(self.elapsed_ms, |ended| ended.wall_ms)
    }

    /// The patch that the run ended with, as text that `git apply` takes; empty if it has none
    /// (yet).
    pub fn patch(&self) -> &str {
        self.ended.as_ref().map_or("", |ended| &ended.patch)
    }

    /// The patch that the run ended with, as people read it.
    pub fn readable_patch(&self) -> Cow<'_, str> {
        match self.patched_winner() {
            Some(winner) => winner.readable(),
            None => Cow::Borrowed(self.patch()),
        }
    }

    /// The patch that the run ended with, as `git diff` writes it: lines in the encodings of
    /// their files.
    pub fn patch_bytes(&self) -> Vec<u8> {
        let parts = self
            .patched_winner()
            .map_or(&[][..], |w| w.parts.as_slice());
        if parts.is_empty() {
            return self.patch().as_bytes().to_vec();
        }
        let bytes_of = |part: &PatchPart| {
            let name = part.encoding.as_deref().unwrap_or("utf-8");
            let text = part.binary.as_ref().unwrap_or(&part.text);
            Encoding::named(name)?.encode(text).ok()
        };
        let bytes: Option<Vec<Vec<u8>>> = parts.iter().map(bytes_of).collect();
        bytes.map_or_else(|| self.patch().as_bytes().to_vec(), |all| all.concat())
    }

    /// The end of the branch whose patch the run ended with.
    fn patched_winner(&self) -> Option<&BranchEnded> {
        let ends = self.patched().map(|(_, ended)| ended);
        ends.into_iter().find(|ended| ended.patch == self.patch())
    }
}

/// A place within an action: behind its first `n_shared` tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seam {
    pub n_shared: usize,
    pub n_tokens: usize,
}

impl Seam {
    /// How far into the action it lies, in `0..=1`.
    pub fn share(&self) -> f32 {
        self.n_shared as f32 / self.n_tokens.max(1) as f32
    }
}

impl BranchView {
    fn new(id: BranchId, branch: BranchState) -> Self {
        // Steps are numbered in the order in which they finished.
        let indices: Vec<usize> = branch.steps.iter().map(|step| step.0 as usize).collect();
        let (shared, own) = indices.split_at(branch.n_inherited);
        Self {
            id,
            forked_from: branch.forked_from,
            reason: branch.reason,
            shared_steps: shared.to_vec(),
            own_steps: own.to_vec(),
            ended: branch.ended,
        }
    }

    /// Indices of all steps from the prompt to its newest, shared ones first.
    pub fn path(&self) -> Vec<usize> {
        [self.shared_steps.as_slice(), &self.own_steps].concat()
    }
}

impl SuiteView {
    /// A suite with the newest run of the base and of each branch.
    fn new(suite: EarlierSuite) -> Self {
        let mut view = Self {
            built: suite.built,
            runs: Vec::new(),
            classified: suite.classes.unwrap_or_default(),
        };
        suite.runs.into_iter().for_each(|run| view.put_run(run));
        view
    }

    /// Stated examples of the issue that `run` does not pass.
    pub fn unmet(&self, run: &SuiteRun) -> Vec<&str> {
        match (&self.built, self.run_on(None)) {
            (Some(built), Some(base)) => unmet(built, base, run),
            _ => Vec::new(),
        }
    }

    fn put_run(&mut self, run: SuiteRun) {
        self.runs.retain(|old| old.branch != run.branch);
        self.runs.push(run);
    }

    /// The run on a branch's patch, or on the base for `None`.
    pub fn run_on(&self, branch: Option<BranchId>) -> Option<&SuiteRun> {
        self.runs.iter().find(|run| run.branch == branch)
    }

    /// The class of a test; `None` before classification.
    pub fn class(&self, id: &str) -> Option<TestClass> {
        let found = self.classified.classes.iter().find(|(test, _)| test == id);
        found.map(|(_, class)| *class)
    }

    /// Why a test was set aside, if it was.
    pub fn set_aside(&self, id: &str) -> Option<&str> {
        let found = self
            .classified
            .set_aside
            .iter()
            .find(|(test, _)| test == id);
        found.map(|(_, why)| why.as_str())
    }

    /// Whether a model wrote a counted test: it then counts in no pass rate.
    pub fn is_written(&self, id: &str) -> bool {
        self.classified.written.iter().any(|test| test.id == id)
    }

    /// `(passed, counted)`: tests of a run that count towards its pass rate,
    /// which is all but the unsatisfied, the uncollectable, the skipped, those
    /// set aside and those that a model wrote.
    pub fn counted(&self, run: &SuiteRun) -> (usize, usize) {
        let counts = |test: &&TestOutcome| {
            test.result != TestResult::Skipped
                && self.set_aside(&test.id).is_none()
                && !self.is_written(&test.id)
                && !matches!(
                    self.class(&test.id),
                    Some(TestClass::Unsatisfied | TestClass::Uncollectable)
                )
        };
        let counted: Vec<_> = run.tests.iter().filter(counts).collect();
        let passed = counted
            .iter()
            .filter(|test| test.result == TestResult::Passed);
        (passed.count(), counted.len())
    }

    /// Every test that any run reports, in order of first appearance.
    pub fn test_ids(&self) -> Vec<&str> {
        let mut seen = std::collections::HashSet::new();
        let run_ids = self.runs.iter().flat_map(|run| &run.tests);
        let all = run_ids
            .map(|test| test.id.as_str())
            .chain(self.classified.classes.iter().map(|(id, _)| id.as_str()));
        all.filter(|id| seen.insert(*id)).collect()
    }
}

/// The executed candidate; `None` if the step has no such candidate.
pub(super) fn chosen(step: &StepFinished) -> Option<&Candidate> {
    step.candidates.get(step.chosen)
}

/// The uncertainty that a step is coloured by, nats: what the gate looked at,
/// else the default signal of the decided-on candidate, else its tool entropy.
pub(super) fn signal_nats(step: &StepFinished) -> Option<f32> {
    let first = step.candidates.first().map(|candidate| &candidate.entropy);
    step.decision
        .signal_nats
        .or_else(|| GateSignal::DEFAULT.of(first?))
        .or_else(|| GateSignal::Tool.of(first?))
}
