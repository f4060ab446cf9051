//! How a run spends its budget, as plain data: it stands in the record whole.
use super::{AugmentSettings, BranchPolicy, Gate, GateSignal, Gates, SamplerSettings};
use serde::{Deserialize, Serialize};

/// A strategy: one controller, a few switches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Strategy {
    pub name: String,
    /// One answer is the patch: no steps, no observations.
    pub one_turn: bool,
    /// Trajectories at most, N.
    pub n: u32,
    /// Candidates at a branched step, k.
    pub k: u32,
    /// Branches that live at the same time at most, where candidates are judged.
    pub beam: u32,
    /// All trajectories from the prompt at once, in one batch; otherwise one
    /// after the other.
    pub at_once: bool,
    /// Later trajectories share the prompt's cache; otherwise each computes it
    /// anew, as through an API.
    pub share_prompt: bool,
    /// At which steps to roll out candidates.
    pub policy: BranchPolicy,
    /// The only signal that may gate; `None`: that of the first gate that is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate_signal: Option<GateSignal>,
    pub fork_at: ForkAt,
    pub recovery: Recovery,
    pub stop: StopRule,
    /// Where the check decides, edits are carried out in copies before siblings are
    /// decoded and before any is judged: one that passes is taken.
    #[serde(default)]
    pub evidence_first: bool,
    /// Of the first candidate of a step.
    pub sampler: SamplerSettings,
    pub siblings: SiblingSettings,
    pub judge: JudgeSettings,
    /// What the model adds to the suite that patches are tested by.
    pub augment: AugmentSettings,
    /// Who votes on the shortlisted patches, where that decides.
    pub voters: Vec<Voter>,
    pub select: SelectBy,
}

impl Strategy {
    /// The gate of a run: of those given, the one on the strategy's signal.
    pub fn gate(&self, given: &Gates) -> Option<Gate> {
        match self.gate_signal {
            Some(signal) => given.on(signal).cloned(),
            None => given.first().cloned(),
        }
    }
}

/// Where a sibling leaves the action that was decoded first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForkAt {
    /// At its first free token: the whole action is sampled again (the paper's).
    #[default]
    Action,
    /// At its most uncertain free token: what stands before it is kept.
    Token,
}

/// What happens when evidence turns against a branch: an edit that fails, a
/// test that fails after it, an answer that is no call.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recovery {
    /// The observation says so, and the branch goes on with it in its context.
    Append,
    /// The branch is left, and the search forks at the open point of the
    /// highest value.
    Fork(PointWeights),
}

/// What an open fork point is worth: a weighted sum.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PointWeights {
    /// For each nat of the gate's signal at the point.
    pub entropy: f32,
    /// For the best judge's score, in `0..=1`, of a candidate that was decoded
    /// there and not taken; 0 where there is none.
    pub judge: f32,
    /// Taken off for each action that was tried there and failed.
    pub failures: f32,
    /// Taken off for each step that going back there throws away.
    pub distance: f32,
}

/// Entropy first; a nat weighs as much as a full judge's score, which hardly
/// differs between candidates so far. Four failures outweigh a nat.
impl Default for PointWeights {
    fn default() -> Self {
        Self {
            entropy: 1.0,
            judge: 1.0,
            failures: 0.25,
            distance: 0.1,
        }
    }
}

/// When a run ends before its budget does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopRule {
    /// With the first trajectory whose checks all pass, a test among them that
    /// fails on the base.
    pub on_pass: bool,
    /// With this many trajectories that came to the same code; 0: never.
    pub on_agreement: u32,
}

impl StopRule {
    /// Goes on to the end.
    pub const NEVER: Self = Self {
        on_pass: false,
        on_agreement: 0,
    };
}

/// How siblings are made to differ. Those that leave an action at the same token take different
/// tokens there, as many as the model holds possible.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SiblingSettings {
    /// Of the first sibling.
    pub sampler: SamplerSettings,
    /// Added to the temperature from one sibling to the next.
    pub temperature_step: f32,
}

/// How candidates of a step are scored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgeSettings {
    pub method: JudgeMethod,
    pub when: JudgeWhen,
    /// Another model that judges, by name or path; it reads the context as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

impl Default for JudgeSettings {
    fn default() -> Self {
        Self {
            method: JudgeMethod::Digits,
            when: JudgeWhen::Before,
            model: None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JudgeMethod {
    /// The expectation over the digits, read from the logits; nothing is written.
    Digits,
    /// The judge first writes why; the digits are read behind that.
    Rationale,
    /// Nobody judges: the first candidate that can be carried out is taken.
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JudgeWhen {
    /// Before the action is carried out.
    Before,
    /// With its observation: every candidate is carried out, each in a
    /// workspace of its own.
    After,
}

/// One voter on the shortlisted patches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Voter {
    /// Another model, by name or path; `None`: the agent's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    pub prompt: VoterPrompt,
    /// How digits are read off their distribution: 0 takes the likeliest, a
    /// higher temperature draws one, `None` takes the expectation.
    pub temperature: Option<f32>,
}

impl Voter {
    /// What records call it: equal names are the same voter.
    pub fn name(&self) -> String {
        let model = self.model.as_deref().unwrap_or("the agent's model");
        let reading = match self.temperature {
            None => "expectation".to_owned(),
            Some(t) => format!("T = {t}"),
        };
        format!("{}, {reading}, {model}", self.prompt.name())
    }
}

/// Which question a voter is asked; the texts lie beside the selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VoterPrompt {
    /// Whether the work should be merged.
    Maintainer,
    /// What is wrong with it.
    Sceptic,
}

impl VoterPrompt {
    pub fn name(self) -> &'static str {
        match self {
            Self::Maintainer => "maintainer",
            Self::Sceptic => "sceptic",
        }
    }
}

/// What decides between patches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SelectBy {
    /// The first that ended.
    First,
    /// One drawn by the run's seed.
    Random,
    /// Pass rate, then how many trajectories came to the same code (self-consistency,
    /// Wang et al. 2022, arXiv 2203.11171), then the smaller patch. Nobody is asked.
    #[default]
    Agreement,
    /// Pass rate, then trajectory score.
    Tests,
    /// The same, then the voters (section 2.3).
    Preference,
}

impl SelectBy {
    pub fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Random => "random",
            Self::Agreement => "agreement",
            Self::Tests => "tests",
            Self::Preference => "preference",
        }
    }
}
