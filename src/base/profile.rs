//! The abilities that the program assumes of a model, as data: which tools, how much is
//! shown, how it is sampled. One per run; it stands in the record whole.
//!
//! `models/agents/*.toml` holds the built-in profiles. `small` is for models below 3B
//! parameters: few tools, bare turns, a thought that is held to a place, and edits whose names
//! the grammar spells out. `standard` is for models from 3B on: a map of the repository, free
//! thought, search, lists, edits by lines and hunks, undo. `checkpoint::find_profile` takes
//! `--profile`, then the user's `agents/MODEL.toml`, then the manifest's `[agent]`, then
//! `standard`.
//!
//! Limits that depend on the context are shares of it ([`AgentProfile::in_context`]). A limit
//! that cuts something says so to the model at the place of the cut, and is a [`LimitHit`] in
//! the record. `tests/first_prompts.rs` holds the first prompts of `small` byte for byte,
//! because the recorded evaluation was made with them.
use super::{SamplerSettings, ToolForm};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::LazyLock;

/// An agent's settings for models of one ability.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentProfile {
    /// The name given to `--profile`.
    pub name: String,
    pub prompt: PromptStyle,
    pub thought: Thought,
    /// Open forms of tools, in the order in which the prompt lists them.
    pub tools: Vec<ToolForm>,
    /// Files are shown with line numbers. They cost tokens, and a small model copies
    /// them into code.
    pub line_numbers: bool,
    /// One sibling has to edit a function that no failed edit went for: a small model is
    /// sure of a wrong place again and again.
    pub sibling_elsewhere: bool,
    /// A sibling that only gives the code back as it is goes on from the midst of it
    /// with another token, a small model's habit.
    pub fork_copies: bool,
    /// Of a step's first candidate, where one trajectory is enough.
    pub sampler: SamplerSettings,
    /// Of trajectories that have to differ.
    pub sampling: SamplerSettings,
    /// Of the first sibling of a candidate.
    pub siblings: SamplerSettings,
    /// Added to the temperature from one sibling to the next.
    pub sibling_temperature_step: f32,
    /// From this [location entropy](super::ActionEntropy::location) on, the first call of a
    /// branch, which names a location, is rolled out; nats.
    #[serde(default)]
    pub location_gate_nats: f32,
    /// Tokens of a sequence where `--ctx` does not say; 0: the model's own limit.
    pub ctx_tokens: usize,
    /// Shares of the context: they lower the limits, never raise them.
    pub shares: ContextShares,
    pub limits: AgentLimits,
}

/// The part of the repository in the first prompt, and how the task is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptStyle {
    /// Whole files, as many as fit, the likeliest first.
    Files,
    /// A map: folders, outlines of the likeliest files, bodies of what the issue names.
    Map,
}

/// Whether the model may write before its call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Thought {
    None,
    /// At most this many characters, on one line.
    Optional {
        chars_max: usize,
    },
    /// At most this many characters, on any number of lines.
    Free {
        chars_max: usize,
    },
    /// One line that begins with these words, always; then with a function that can be
    /// named, where there are any. An edit by name edits that one.
    Required {
        opening: String,
        chars_max: usize,
    },
}

/// Shares of a context, in `0..=1`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContextShares {
    /// Of the repository's files in the first prompt.
    pub files: f32,
    /// Of one observation.
    pub observation: f32,
}

/// Characters of program text that one token stands for: a share of the context is
/// turned into characters by it. Qwen's tokenizers take 3 to 4.
const CHARS_PER_TOKEN: f32 = 3.0;

/// Every limit of an agent. One that bites is told to the model and stands in the record
/// as a [`LimitHit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentLimits {
    /// Tokens of the first prompt that the repository's files may take.
    pub files_tokens_max: usize,
    /// Files that the first prompt's listing names.
    pub listed_files_max: usize,
    /// Files that the first prompt's map parses for their outlines, the likeliest first.
    pub outlined_files_max: usize,
    /// Lines of a definition that the first prompt's map shows.
    pub shown_body_lines_max: usize,
    /// Locations of which the first call of a branch views one, the index's likeliest; 0: the
    /// first call is like any other.
    #[serde(default)]
    pub locations_max: usize,
    /// Characters of one observation.
    pub observation_chars_max: usize,
    /// Lines that one `view` shows.
    pub view_lines_max: usize,
    /// Hits that one `search` shows.
    pub search_hits_max: usize,
    /// Characters of a line that a hit shows: one of a minified file would take the room
    /// of all other hits.
    pub search_line_chars_max: usize,
    /// Lines around a hit that a `search` may ask for.
    pub search_context_max: usize,
    /// Files that a call's grammar lists; in a larger repository any path can be written.
    pub grammar_files_max: usize,
    /// The same for the functions and types of all files.
    pub grammar_symbols_max: usize,
    /// Lines of a file that a search/replace edit is held to; a longer one takes any.
    pub grammar_lines_max: usize,
    /// Characters of a search text or a command.
    pub text_chars_max: usize,
    /// Seconds of one command.
    pub command_s_max: u64,
    /// Turns in a row that hold no call before the branch ends.
    pub unparsed_max: u32,
    /// Repeated actions in a row before the branch ends.
    pub repeats_max: u32,
    /// Newest observations that stay whole when older ones are folded to make room in a
    /// context; 0: none is ever folded.
    pub unfolded_min: u32,
    /// Steps of one branch.
    pub steps_max: u32,
    /// Tokens of one action.
    pub action_tokens_max: usize,
    /// Tokens that a thinking model may reason with before an action.
    pub reasoning_tokens_max: usize,
    /// Decoded + computed tokens of a run.
    pub tokens_max: u64,
}

/// A limit that cut something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitHit {
    /// The field of [`AgentLimits`], or `issue_tokens_max`: half of the context without the rules.
    pub limit: String,
    pub max: u64,
    /// As much as there was, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<u64>,
}

impl LimitHit {
    /// `wanted` of something was cut to `max`.
    pub fn new(limit: &str, max: usize, wanted: usize) -> Self {
        Self {
            wanted: Some(wanted as u64),
            ..Self::unmeasured(limit, max)
        }
    }

    /// More than `max`, and nobody counted how much.
    pub fn unmeasured(limit: &str, max: usize) -> Self {
        Self {
            limit: limit.to_owned(),
            max: max as u64,
            wanted: None,
        }
    }
}

/// For models below 3B: the profile that the recorded evaluation was made with.
static SMALL: LazyLock<AgentProfile> =
    LazyLock::new(|| built_in(include_str!("../../models/agents/small.toml")));
/// For models from 3B on, and where nothing says otherwise.
static STANDARD: LazyLock<AgentProfile> =
    LazyLock::new(|| built_in(include_str!("../../models/agents/standard.toml")));

fn built_in(text: &str) -> AgentProfile {
    toml::from_str(text).expect("a built-in profile is whole")
}

impl AgentProfile {
    /// Names of the profiles that are built in.
    pub const BUILT_IN: [&'static str; 2] = ["small", "standard"];

    pub fn small() -> Self {
        SMALL.clone()
    }

    pub fn standard() -> Self {
        STANDARD.clone()
    }

    /// The built-in profile of that name.
    pub fn built_in(name: &str) -> Option<Self> {
        [&SMALL, &STANDARD]
            .into_iter()
            .find(|profile| profile.name == name)
            .map(|profile| (**profile).clone())
    }

    /// The same with some fields otherwise, as a table names them; `limits` and `shares`
    /// are taken field by field.
    ///
    /// Errors: a sentence about a field that is unknown, or of another type.
    pub fn with(&self, changes: &Map<String, Value>) -> Result<Self, String> {
        let mut all = serde_json::to_value(self).expect("plain data serialises");
        overlay(&mut all, &Value::Object(changes.clone()));
        let profile: Self = serde_json::from_value(all).map_err(|e| e.to_string())?;
        profile.check()?;
        Ok(profile)
    }

    /// The same in a context of so many tokens: limits are what the shares leave of them.
    #[must_use]
    pub fn in_context(mut self, ctx_tokens: usize) -> Self {
        let part = |share: f32| (ctx_tokens as f32 * share) as usize;
        let limits = &mut self.limits;
        limits.files_tokens_max = limits.files_tokens_max.min(part(self.shares.files));
        let chars = part(self.shares.observation * CHARS_PER_TOKEN);
        limits.observation_chars_max = limits.observation_chars_max.min(chars);
        self
    }

    fn check(&self) -> Result<(), String> {
        let is_share = |share: f32| share > 0.0 && share <= 1.0;
        if !(is_share(self.shares.files) && is_share(self.shares.observation)) {
            return Err("a share of the context lies between 0 and 1".to_owned());
        }
        if !self.tools.contains(&ToolForm::Submit)
            || !self.tools.iter().any(|f| f.tool().changes_files())
        {
            return Err("an agent needs `submit` and a tool that changes files".to_owned());
        }
        for sampler in [&self.sampler, &self.sampling, &self.siblings] {
            sampler.check()?;
        }
        if !self.sibling_temperature_step.is_finite() {
            return Err("sibling_temperature_step is no finite number".to_owned());
        }
        let limits = &self.limits;
        let needed = [
            ("view_lines_max", limits.view_lines_max),
            ("steps_max", limits.steps_max as usize),
            ("action_tokens_max", limits.action_tokens_max),
            ("observation_chars_max", limits.observation_chars_max),
            ("listed_files_max", limits.listed_files_max),
        ];
        match needed.iter().find(|(_, max)| *max == 0) {
            Some((name, _)) => Err(format!("with {name} = 0 an agent can do nothing")),
            None => Ok(()),
        }
    }
}

/// Lays `changes` over `all`, object by object.
fn overlay(all: &mut Value, changes: &Value) {
    match (all, changes) {
        (Value::Object(all), Value::Object(changes)) => {
            // A choice of another kind replaces the one before.
            for (key, change) in changes {
                match all.get_mut(key) {
                    Some(old) if key == "limits" || key == "shares" => overlay(old, change),
                    _ => {
                        all.insert(key.clone(), change.clone());
                    }
                }
            }
        }
        (all, changes) => *all = changes.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_built_in_profiles_are_whole_and_named_as_they_are_asked_for() {
        for name in AgentProfile::BUILT_IN {
            let profile = AgentProfile::built_in(name).unwrap();
            assert_eq!(profile.name, name);
            profile.check().unwrap();
            let line = serde_json::to_string(&profile).unwrap();
            assert_eq!(
                serde_json::from_str::<AgentProfile>(&line).unwrap(),
                profile
            );
        }
        assert!(AgentProfile::built_in("tiny").is_none());
    }

    #[test]
    fn a_table_changes_what_it_names_and_nothing_else() {
        let table = |text: &str| match toml::from_str::<Value>(text).unwrap() {
            Value::Object(table) => table,
            other => panic!("{other}"),
        };
        let changes = table("tools = [\"write\", \"submit\"]\n[limits]\nsteps_max = 7\n");
        let changed = AgentProfile::standard().with(&changes).unwrap();
        let expected = AgentProfile {
            tools: vec![ToolForm::Write, ToolForm::Submit],
            limits: AgentLimits {
                steps_max: 7,
                ..AgentProfile::standard().limits
            },
            ..AgentProfile::standard()
        };
        assert_eq!(changed, expected);
        let refused = |text: &str| AgentProfile::standard().with(&table(text)).unwrap_err();
        assert!(refused("colour = 1").contains("colour"));
        assert!(refused("[limits]\nstep_max = 1").contains("step_max"));
        assert!(refused("tools = [\"view\"]").contains("submit"));
        assert!(refused("[shares]\nfiles = 2.0").contains("between 0 and 1"));
    }

    #[test]
    fn shares_of_the_context_lower_limits_and_never_raise_them() {
        let standard = AgentProfile::standard();
        let narrow = standard.clone().in_context(8_192).limits;
        assert!(narrow.files_tokens_max < standard.limits.files_tokens_max);
        assert!(narrow.observation_chars_max < standard.limits.observation_chars_max);
        let small = AgentProfile::small();
        assert_eq!(small.clone().in_context(8_192).limits, small.limits);
        assert_eq!(standard.clone().in_context(1 << 20).limits, standard.limits);
    }
}
