//! What an agent is set to.
use super::scope::Scope;
use super::tool::ToolSet;
use crate::workspace::Limits;

/// The tools that change files.
pub const EDIT_TOOLS: &[&str] = &["edit", "write"];

/// Which first prompt a run starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Steps until it submits.
    Agent,
    /// One answer, which is the patch.
    OneTurn,
}

/// Whether the model may write a line of thought before its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thought {
    None,
    /// At most this many characters, on one line.
    Optional {
        chars_max: usize,
    },
    /// One line that begins with these words, always; then with a function that
    /// can be named, where there are any. An edit by name edits that one.
    Required {
        opening: &'static str,
        chars_max: usize,
    },
}

/// Settings of one agent. All limits are hard.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    pub role: Role,
    pub tools: ToolSet,
    pub scope: Scope,
    pub thought: Thought,
    /// Observations are cut to this many characters, head and tail.
    pub observation_chars_max: usize,
    /// Tokens of the first prompt that the repository's files may take.
    pub context_tokens_max: usize,
    /// Lines that one `view` shows at most.
    pub view_lines_max: usize,
    /// Hits that one `search` shows at most.
    pub search_hits_max: usize,
    /// Whether files are shown with line numbers. They cost tokens, and a
    /// small model copies them into code.
    pub line_numbers: bool,
    /// Run the check given to the executor after an edit that compiles, and
    /// show its result: saves a small model a step.
    pub check_after_edit: bool,
    /// How the repository's tests are run, as the model is told.
    pub test_cmd: String,
    /// Limits of one command that the model runs.
    pub command_limits: Limits,
    /// Turns in a row that hold no call before the branch ends.
    pub unparsed_max: u32,
    /// Repeated actions in a row before the branch ends.
    pub repeats_max: u32,
}

/// About 900 tokens of program text.
const OBSERVATION_CHARS_MAX: usize = 3_000;
/// Three tenths of the smallest context that a run is expected to have (8,192).
const CONTEXT_TOKENS_MAX: usize = 2_400;
/// Makes a small model name the place before it acts; left to itself it fills
/// the line with calls, or blames one function and edits another.
const THOUGHT_OPENING: &str = "Cause:";
/// Two sentences.
const THOUGHT_CHARS_MAX: usize = 240;

impl AgentConfig {
    /// An agent that steps until it submits.
    pub fn agent() -> Self {
        Self {
            role: Role::Agent,
            tools: ToolSet::standard(),
            scope: Scope::default(),
            thought: Thought::Required {
                opening: THOUGHT_OPENING,
                chars_max: THOUGHT_CHARS_MAX,
            },
            observation_chars_max: OBSERVATION_CHARS_MAX,
            context_tokens_max: CONTEXT_TOKENS_MAX,
            view_lines_max: 200,
            search_hits_max: 30,
            line_numbers: false,
            check_after_edit: true,
            test_cmd: "python3 -m pytest -q".into(),
            command_limits: Limits::default(),
            unparsed_max: 3,
            repeats_max: 3,
        }
    }

    /// The same files in one prompt and one answer: an agent of one step that
    /// may only change files.
    pub fn one_turn() -> Self {
        Self {
            role: Role::OneTurn,
            tools: ToolSet::one_turn(),
            check_after_edit: false,
            ..Self::agent()
        }
    }
}
