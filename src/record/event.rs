//! Event types. Every figure that a report shows or a decision rested on is here.
use super::Checkout;
use super::suite::{SuiteBuilt, SuiteClassified, SuiteRun, is_zero};
use crate::base::{
    ActionEntropy, AgentProfile, BranchDecision, BranchId, Budget, Gate, LimitHit, Location,
    StepId, Strategy, TokenEntropy, UsageByPurpose,
};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::path::PathBuf;

/// One thing that happened in a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[allow(
    clippy::large_enum_variant,
    reason = "the large one comes once a record"
)]
pub enum Event {
    RunStarted(RunStarted),
    BranchStarted(BranchStarted),
    StepFinished(StepFinished),
    Folded(Folded),
    BranchEnded(BranchEnded),
    TrajectoryJudged(TrajectoryJudged),
    SuiteBuilt(SuiteBuilt),
    SuiteRun(SuiteRun),
    SuiteClassified(SuiteClassified),
    Voted(Voted),
    Selected(Selected),
    RunEnded(RunEnded),
}

impl Event {
    /// What was spent since the event before; nothing where none of it is kept.
    pub fn usage(&self) -> UsageByPurpose {
        match self {
            Self::StepFinished(step) => step.usage,
            Self::BranchEnded(ended) => ended.usage,
            Self::TrajectoryJudged(judged) => judged.usage,
            Self::SuiteBuilt(built) => built.usage,
            Self::Voted(vote) => vote.usage,
            Self::Selected(selected) => selected.usage,
            Self::RunStarted(_)
            | Self::BranchStarted(_)
            | Self::Folded(_)
            | Self::SuiteRun(_)
            | Self::SuiteClassified(_)
            | Self::RunEnded(_) => UsageByPurpose::default(),
        }
    }
}

/// The first line of every record: all that the run was asked to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunStarted {
    pub record_version: u32,
    pub egss_version: String,
    /// Manifest name or path.
    pub model: String,
    pub device: String,
    pub strategy: Strategy,
    pub seed: u64,
    pub ctx_tokens: usize,
    pub budget: Budget,
    pub gate: Option<Gate>,
    /// The repository's whole path; relative to anywhere in older records.
    pub repo: String,
    /// The interpreter that ran the tests, where no environment has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python: Option<PathBuf>,
    #[serde(flatten)]
    pub checkout: Checkout,
    pub issue: String,
    /// Command that runs the repository's tests, if the user named one.
    pub test_cmd: Option<String>,
    /// Where that command writes JUnit XML, relative to the repository's root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub junit: Option<PathBuf>,
    /// Names of the tools that the agent has; empty: the usual ones.
    #[serde(default)]
    pub tools: Vec<String>,
    /// The profile that is assumed of the model, with every limit as it holds in this
    /// run's context. Older records are of the profile that is called `small` now.
    #[serde(default = "AgentProfile::small")]
    pub profile: AgentProfile,
    /// The locations of which the first call of each branch views one, the likeliest first;
    /// empty: the first call is like any other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locations: Vec<Location>,
    /// Limits that kept something out of the first prompt, or out of the calls' grammar.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cuts: Vec<LimitHit>,
    /// The environment that was installed for the repository, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Tree id of the base in the run's shadow git directory.
    pub base_tree: String,
    /// The context that every branch starts from, as text and as tokens.
    pub prompt_text: String,
    pub prompt_tokens: Vec<u32>,
    /// Seconds since the Unix epoch.
    pub started_at_s: u64,
}

/// Where a branch left another: its steps before `step` are shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForkPoint {
    pub branch: BranchId,
    /// The step that is done differently.
    pub step: StepId,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BranchStarted {
    pub branch: BranchId,
    /// `None` for a branch from the prompt.
    pub forked_from: Option<ForkPoint>,
    /// One clause for a person.
    pub reason: String,
}

/// One action that was decoded at a step, taken or not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The decoded text, exactly.
    pub text: String,
    /// The decoded tokens with their uncertainty; `token` of each is the history.
    pub tokens: Vec<TokenEntropy>,
    /// The text of each token, for display (see [`token_pieces`](super::token_pieces)):
    /// as many as `tokens`, and joined they are `text`. Empty where it is not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pieces: Vec<String>,
    /// Name of the tool, if the text parsed.
    pub tool: Option<String>,
    /// The action in canonical form: equal strings are the same action.
    pub canonical: String,
    pub entropy: ActionEntropy,
    pub judge: Option<JudgeScore>,
    /// How many decoded candidates were merged into this one, itself included.
    pub merged: u32,
    /// How many of its tokens it shares with the action that it left; 0 for one
    /// that was decoded from the step's start.
    #[serde(default)]
    pub forked_at: usize,
    /// The sampler's temperature.
    #[serde(default)]
    pub temperature: f32,
    /// What carrying it out gave, where candidates are judged after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried: Option<Tried>,
}

impl Candidate {
    /// True for an edit that was carried out in a copy, and did not apply or left a
    /// test that fails.
    pub fn has_failed(&self) -> bool {
        self.tried
            .as_ref()
            .is_some_and(|tried| tried.outcome.is_failed_edit())
    }
}

/// A candidate that was carried out to be judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    pub outcome: StepOutcome,
    /// What the agent would be shown, already cut to its limit.
    pub observation: String,
    /// As [`StepFinished::cuts`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cuts: Vec<LimitHit>,
    /// Tree id of the workspace after it.
    pub tree: String,
}

/// Five dimensions, each an expectation over the digits 0-3 (section 2.1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JudgeScore {
    /// `(dimension, expected digit in 0..=3)`.
    pub dimensions: Vec<(String, f32)>,
    /// Sum of the dimensions over 15: in `0..=1`.
    pub score: f32,
    /// What the judge wrote before, where it was asked to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rationale: Option<String>,
}

/// The judge's view of a whole trajectory none of whose steps was judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrajectoryJudged {
    pub branch: BranchId,
    pub judge: JudgeScore,
    /// What was spent since the event before.
    pub usage: UsageByPurpose,
}

/// How an executed action ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepOutcome {
    /// It did what it asked for.
    Ok,
    /// The action could not be parsed or named something that does not exist.
    Rejected,
    /// An edit whose place was not found, or whose result does not compile.
    EditFailed,
    /// Tests ran and some failed.
    TestsFailed,
    /// Tests ran and all passed.
    TestsPassed,
    /// A command ended with a non-zero status or at a limit.
    CommandFailed,
    /// The same action on the same workspace state as before on this branch.
    Repeated,
    /// The branch handed in its work.
    Submitted,
}

impl StepOutcome {
    /// True of an edit that did not apply, or after which a test fails.
    pub fn is_failed_edit(self) -> bool {
        matches!(self, Self::EditFailed | Self::TestsFailed)
    }

    /// What a reader is told, in a clause.
    pub fn clause(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Rejected => "call rejected",
            Self::EditFailed => "edit failed",
            Self::TestsFailed => "tests failed",
            Self::TestsPassed => "tests passed",
            Self::CommandFailed => "command failed",
            Self::Repeated => "repeated",
            Self::Submitted => "submitted",
        }
    }
}

/// A finished agent step: decoded, decided on, judged where asked, executed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepFinished {
    pub step: StepId,
    pub branch: BranchId,
    /// Position in its branch, from 0.
    pub depth: u32,
    /// All distinct candidates decoded at this point; the first is the one that
    /// the decision was about.
    pub candidates: Vec<Candidate>,
    /// Index of the executed candidate.
    pub chosen: usize,
    pub decision: BranchDecision,
    pub outcome: StepOutcome,
    /// What the agent was shown, already cut to its limit.
    pub observation: String,
    /// Limits that cut it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cuts: Vec<LimitHit>,
    /// The rendered observation, as appended to the history.
    pub observation_tokens: Vec<u32>,
    /// Tree id of the workspace after the step.
    pub tree: String,
    /// What was spent since the event before: branches that are decoded in one
    /// batch share its cost, so only sums over events mean something.
    pub usage: UsageByPurpose,
}

/// Old observations of a branch that give way to one line each, so that its context holds
/// what comes next: from here on its history has these in their place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Folded {
    pub branch: BranchId,
    /// In the branch's order.
    pub observations: Vec<FoldedObservation>,
    /// Tokens of the branch's history before and after.
    pub tokens_before: usize,
    pub tokens_after: usize,
}

/// An observation in one line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FoldedObservation {
    pub step: StepId,
    pub text: String,
    /// The rendered line, in the place of [`StepFinished::observation_tokens`].
    pub tokens: Vec<u32>,
}

/// How a branch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BranchStatus {
    Submitted,
    /// Evidence turned against it and the search went back (its last step says why).
    Abandoned,
    /// Others in the beam were judged better.
    Pruned,
    /// The run stopped early while it was on its way.
    NotNeeded,
    StepsSpent,
    TokensSpent,
    WallTimeSpent,
    ContextFull,
    KvPoolFull,
    /// Nothing the model wrote could be read as a call.
    NoToolCall,
    /// It kept repeating an action.
    Stuck,
}

impl BranchStatus {
    /// True where the search left the branch on its way.
    pub fn is_left(self) -> bool {
        matches!(self, Self::Abandoned | Self::Pruned | Self::NotNeeded)
    }

    /// What a reader is told, in a clause.
    pub fn clause(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Abandoned => "abandoned",
            Self::Pruned => "pruned",
            Self::NotNeeded => "not needed any more",
            Self::StepsSpent => "out of steps",
            Self::TokensSpent => "out of tokens",
            Self::WallTimeSpent => "out of time",
            Self::ContextFull => "context full",
            Self::KvPoolFull => "KV pool full",
            Self::NoToolCall => "no tool call",
            Self::Stuck => "stuck",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BranchEnded {
    pub branch: BranchId,
    pub status: BranchStatus,
    /// Unified diff against the base, as `git apply` takes it; empty if nothing changed.
    /// Files that are no UTF-8 text are binary patches in it.
    pub patch: String,
    /// New files that are not in the patch, because git ignores them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<String>,
    /// The same patch as people read it, where that is not `patch` itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PatchPart>,
    /// Mean judge score over judged steps, in `0..=1`; `None` if never judged.
    pub score: Option<f32>,
    /// Mean of the steps' gate signal, nats.
    pub entropy_mean_nats: Option<f32>,
    /// A digest of what the patch makes of the code: equal ones are the same code, an
    /// empty one is the base's. `None` where it was not asked for or cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What was spent since the event before (siblings that were rolled out and
    /// found nothing new).
    #[serde(default)]
    pub usage: UsageByPurpose,
}

impl BranchEnded {
    /// The patch as people read it.
    pub fn readable(&self) -> Cow<'_, str> {
        match self.parts.is_empty() {
            true => Cow::Borrowed(&self.patch),
            false => Cow::Owned(self.parts.iter().map(|part| part.text.as_str()).collect()),
        }
    }
}

/// A file's part of a patch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatchPart {
    /// As people read it.
    pub text: String,
    /// The encoding of its lines in the file; `None` for UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// The binary patch that git takes instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary: Option<String>,
}

/// One voter's view of one candidate patch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Voted {
    pub voter: String,
    pub branch: BranchId,
    /// `(dimension, expected digit in 0..=3)`, functionality validation last.
    pub dimensions: Vec<(String, f32)>,
    pub total: f32,
    /// True when a counted test fails: functionality validation is then 0.
    pub gated: bool,
    /// What was spent since the event before; the voters that share a question
    /// share its cost, which stands with the first of them.
    #[serde(default)]
    pub usage: UsageByPurpose,
}

/// A row of the final ranking.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ranked {
    pub branch: BranchId,
    pub pass_rate: Option<f32>,
    /// Tests that its run did not come to: `pass_rate` is of the others.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub not_run: u32,
    /// Share of the tests that pass which a model wrote and most patches pass.
    #[serde(default)]
    pub written_rate: Option<f32>,
    pub score: Option<f32>,
    pub vote_total: Option<f32>,
    /// Branches whose patch makes the same code, this one among them; 0: unknown.
    #[serde(default)]
    pub agreeing: u32,
    pub patch_lines: u32,
    /// Empty if it stayed in, else why it was dropped.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub dropped: String,
    /// Why it cannot be handed out, whatever else speaks for it: it changes nothing,
    /// does not apply or does not compile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Selected {
    /// `None` when no branch left a patch.
    pub branch: Option<BranchId>,
    pub reason: String,
    pub ranking: Vec<Ranked>,
    /// What the votes do not account for: contexts that were computed anew.
    #[serde(default)]
    pub usage: UsageByPurpose,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunEnded {
    /// The selected patch; empty if there is none.
    pub patch: String,
    /// Why the repository, as it stands at the end, does not take the patch; a clause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_applying: Option<String>,
    /// Everything that the run spent, resumed parts included.
    pub usage: UsageByPurpose,
    pub wall_ms: u64,
}
