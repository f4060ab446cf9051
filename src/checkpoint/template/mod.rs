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

/// A compiled chat template.
#[derive(Clone)]
pub struct ChatTemplate {
    env: Environment<'static>,
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
        env.add_template_owned(NAME, python::without_generation_tags(source))
            .map_err(template_error)?;
        let template = Self {
            env,
            bos: bos.to_owned(),
            eos: eos.to_owned(),
            variables: Vec::new(),
            rewrites_history: false,
        };
        Ok(template.probed())
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

    /// The template as it came with the checkpoint.
    pub fn source(&self) -> String {
        let template = self.env.get_template(NAME).expect("compiled when made");
        template.source().to_owned()
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
            .get_template(NAME)
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
