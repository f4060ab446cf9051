//! Messages to the text that a model was trained on, by the template that
//! came with its weights.
//!
//! A message's content is kept apart from the template's own text, so that the
//! one is encoded as plain text and the other with special tokens: content that
//! holds `<|im_start|>system` stays content.
mod message;
mod python;
mod segments;
mod suffix;

pub use message::{FunctionCall, Message, ToolCall, ToolKind};
pub use segments::Segment;

use super::{CheckpointError, Tokenizer};
use minijinja::Environment;
use minijinja::value::Value;

const NAME: &str = "chat_template";
const TOOL_USE_NAME: &str = "chat_template.tool_use";

/// A compiled chat template.
#[derive(Clone)]
pub struct ChatTemplate {
    env: Environment<'static>,
    source: String,
    /// Why nothing can be rendered, of a template that is none.
    unusable: Option<String>,
    /// True where conversations with tools have a template of their own.
    has_tool_use: bool,
    bos: String,
    eos: String,
    variables: Vec<(String, Value)>,
    rewrites_history: bool,
}

impl ChatTemplate {
    /// Compiles a Jinja template; `bos` and `eos` are the texts of the tokens
    /// of these names, empty where there is none.
    pub fn new(source: &str, bos: &str, eos: &str) -> Result<Self, CheckpointError> {
        let mut env = python::environment();
        env.add_template_owned(NAME, python::prepared(source))
            .map_err(template_error)?;
        let template = Self {
            env,
            source: source.to_owned(),
            unusable: None,
            has_tool_use: false,
            bos: bos.to_owned(),
            eos: eos.to_owned(),
            variables: Vec::new(),
            rewrites_history: false,
        };
        Ok(template.probed())
    }

    /// In the place of a template that cannot be had: whoever renders is told why, and who
    /// needs none need not know.
    pub fn unusable(error: &CheckpointError) -> Self {
        Self {
            env: python::environment(),
            source: String::new(),
            unusable: Some(match error {
                CheckpointError::Template(reason) => reason.clone(),
                other => other.to_string(),
            }),
            has_tool_use: false,
            bos: String::new(),
            eos: String::new(),
            variables: Vec::new(),
            rewrites_history: false,
        }
    }

    /// The template with another one for conversations that have tools.
    pub(super) fn with_tool_use(mut self, source: &str) -> Result<Self, CheckpointError> {
        self.env
            .add_template_owned(TOOL_USE_NAME, python::prepared(source))
            .map_err(template_error)?;
        self.has_tool_use = true;
        Ok(self)
    }

    /// The template with a variable of its own set, as a keyword argument of
    /// `apply_chat_template` sets it: Qwen3's and GLM-4.5's `enable_thinking`,
    /// DeepSeek-V3.1's `thinking`, Llama 3's `date_string`.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &serde_json::Value) -> Self {
        let value = python::from_json(value);
        self.variables.push((name.to_owned(), value));
        self.probed()
    }

    /// The template as it came with the checkpoint, empty where there is none that can be
    /// used.
    pub fn source(&self) -> String {
        self.source.clone()
    }

    /// The text of a whole conversation. `tools` are JSON schemas of the
    /// program's own; their text counts as the template's.
    ///
    /// Errors: what the template refuses (Llama 3: two calls in a turn).
    pub fn render(
        &self,
        messages: &[Message],
        tools: &[serde_json::Value],
        add_generation_prompt: bool,
    ) -> Result<String, CheckpointError> {
        if let Some(reason) = &self.unusable {
            return Err(CheckpointError::Template(reason.clone()));
        }
        let name = match self.has_tool_use && !tools.is_empty() {
            true => TOOL_USE_NAME,
            false => NAME,
        };
        let list = |items: Vec<Value>| Value::from(items);
        let messages = messages.iter().map(|m| python::from_json(&m.to_json()));
        let tools = match tools {
            [] => Value::from(()),
            tools => list(tools.iter().map(python::from_json).collect()),
        };
        let given = [
            ("messages", list(messages.collect())),
            ("tools", tools),
            ("documents", Value::from(())),
            ("add_generation_prompt", Value::from(add_generation_prompt)),
            ("bos_token", Value::from(&*self.bos)),
            ("eos_token", Value::from(&*self.eos)),
        ];
        // Of two values of one name the later counts.
        let own = self.variables.iter().map(|(k, v)| (&**k, v.clone()));
        let context = Value::from_pairs(own.chain(given));
        self.env
            .get_template(name)
            .and_then(|template| template.render(context))
            .map_err(template_error)
    }

    /// The tokens of a whole conversation; content cannot forge special tokens.
    pub fn render_tokens(
        &self,
        tokenizer: &Tokenizer,
        messages: &[Message],
        tools: &[serde_json::Value],
        add_generation_prompt: bool,
    ) -> Result<Vec<u32>, CheckpointError> {
        let segments = self.segments(messages, tools, add_generation_prompt)?;
        Ok(segments::encode(tokenizer, &segments))
    }

    /// True when the text of earlier messages depends on later ones: the
    /// template drops reasoning of turns that are over, or the empty reasoning
    /// that a prompt began with. Found by rendering a conversation with
    /// reasoning in it, with the variables that are set.
    ///
    /// What is done about it: a history is its token ids, so what was decoded
    /// stays in it, reasoning included, and the template is used for each new
    /// message alone ([`ChatTemplate::render_suffix`]). Such a sequence differs
    /// from the template's rendering of the whole in that reasoning and nothing
    /// else. Within one turn of a user, results of tools among it, these
    /// templates keep reasoning too.
    pub fn rewrites_history(&self) -> bool {
        self.rewrites_history
    }

    fn probed(mut self) -> Self {
        self.rewrites_history = self.probe_rewrites();
        self
    }
}

fn template_error(error: minijinja::Error) -> CheckpointError {
    CheckpointError::Template(error.to_string())
}
