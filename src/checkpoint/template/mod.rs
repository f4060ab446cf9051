//! Messages to the text that a model was trained on, by the template that
//! came with its weights.
//!
//! A message's content is kept apart from the template's own text, so that the
//! one is encoded as plain text and the other with special tokens: content that
//! holds `<|im_start|>system` stays content.
mod python;
mod suffix;

use super::{CheckpointError, Tokenizer};
use minijinja::Environment;
use minijinja::value::Value;

const NAME: &str = "chat_template";

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `system`, `user`, `assistant` or `tool`: the program's own word, never
    /// a user's text.
    pub role: String,
    pub content: String,
}

impl Message {
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self {
            role: role.into(),
            content: content.into(),
        }
    }
}

/// A stretch of rendered text, of one origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    pub text: String,
    /// True for a message's content (encoded as plain text), false for the
    /// template's own text (encoded with special tokens).
    pub is_content: bool,
}

/// A compiled chat template.
pub struct ChatTemplate {
    env: Environment<'static>,
    bos: String,
    eos: String,
    rewrites_history: bool,
}

impl ChatTemplate {
    /// Compiles a Jinja template; `bos` and `eos` are the texts of the tokens
    /// of these names, empty where there is none.
    pub fn new(source: &str, bos: &str, eos: &str) -> Result<Self, CheckpointError> {
        let mut env = python::environment();
        env.add_template_owned(NAME, source.to_owned())
            .map_err(template_error)?;
        let mut template = Self {
            env,
            bos: bos.to_owned(),
            eos: eos.to_owned(),
            rewrites_history: false,
        };
        template.rewrites_history = template.probe_rewrites();
        Ok(template)
    }

    /// The template as it came with the checkpoint.
    pub fn source(&self) -> String {
        let template = self.env.get_template(NAME).expect("compiled when made");
        template.source().to_owned()
    }

    /// The text of a whole conversation. `tools` are JSON schemas of the
    /// program's own; their text counts as the template's.
    pub fn render(
        &self,
        messages: &[Message],
        tools: &[serde_json::Value],
        add_generation_prompt: bool,
    ) -> Result<String, CheckpointError> {
        let contents: Vec<&str> = messages.iter().map(|m| &*m.content).collect();
        self.render_with(messages, &contents, tools, add_generation_prompt)
    }

    /// The same text, cut where content begins and ends.
    ///
    /// Errors: a template that changes content beyond trimming its ends: what
    /// is content could not be told from what is not.
    pub fn segments(
        &self,
        messages: &[Message],
        tools: &[serde_json::Value],
        add_generation_prompt: bool,
    ) -> Result<Vec<Segment>, CheckpointError> {
        let whole = self.render(messages, tools, add_generation_prompt)?;
        let marks = marks(messages, &whole);
        // An empty content needs no mark, and templates ask whether it is empty.
        let marked_contents: Vec<&str> = messages
            .iter()
            .zip(&marks)
            .map(|(m, mark)| if m.content.is_empty() { "" } else { mark })
            .collect();
        let marked = self.render_with(messages, &marked_contents, tools, add_generation_prompt)?;
        for trim in [false, true] {
            let segments = cut(&marked, &marks, messages, trim);
            if joined(&segments) == whole {
                return Ok(segments);
            }
        }
        Err(CheckpointError::Template(
            "it changes what messages say, so their text cannot be told from its own".into(),
        ))
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
        Ok(encode(tokenizer, &segments))
    }

    /// True when the text of earlier messages depends on later ones (dropped
    /// reasoning): such a family's history is kept as token ids and its
    /// template used for each new message alone.
    pub fn rewrites_history(&self) -> bool {
        self.rewrites_history
    }

    fn render_with(
        &self,
        messages: &[Message],
        contents: &[&str],
        tools: &[serde_json::Value],
        add_generation_prompt: bool,
    ) -> Result<String, CheckpointError> {
        let messages: Vec<Value> = messages
            .iter()
            .zip(contents)
            .map(|(m, content)| Value::from_pairs([("role", &*m.role), ("content", *content)]))
            .collect();
        let tools = match tools {
            [] => Value::from(()),
            tools => tools
                .iter()
                .map(python::from_json)
                .collect::<Vec<_>>()
                .into(),
        };
        let context = Value::from_pairs([
            ("messages", Value::from(messages)),
            ("tools", tools),
            ("add_generation_prompt", Value::from(add_generation_prompt)),
            ("bos_token", Value::from(&*self.bos)),
            ("eos_token", Value::from(&*self.eos)),
        ]);
        self.env
            .get_template(NAME)
            .and_then(|template| template.render(context))
            .map_err(template_error)
    }
}

/// Tokens of segments, neighbours of one origin together: a cut between them
/// would keep BPE from merging over it.
pub(super) fn encode(tokenizer: &Tokenizer, segments: &[Segment]) -> Vec<u32> {
    let by_origin = segments.chunk_by(|a, b| a.is_content == b.is_content);
    by_origin
        .flat_map(|same| {
            let text = joined(same);
            if same[0].is_content {
                tokenizer.encode(&text)
            } else {
                tokenizer.encode_special(&text)
            }
        })
        .collect()
}

fn joined(segments: &[Segment]) -> String {
    segments.iter().map(|segment| &*segment.text).collect()
}

/// A stand-in for each message's content. None occurs in the text that is
/// rendered, so that no content can pass for one.
fn marks(messages: &[Message], whole: &str) -> Vec<String> {
    let mut salt = 0;
    loop {
        // U+E000 and U+E001 are for private use: no template looks for them.
        let prefix = format!("\u{E000}{salt}.");
        let taken = |text: &str| text.contains(&prefix);
        if !taken(whole) && !messages.iter().any(|m| taken(&m.content)) {
            let mark = |index| format!("{prefix}{index}\u{E001}");
            return (0..messages.len()).map(mark).collect();
        }
        salt += 1;
    }
}

/// Cuts marked text at the marks and puts the contents in their places.
fn cut(marked: &str, marks: &[String], messages: &[Message], trim: bool) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut push = |text: &str, is_content| {
        if !text.is_empty() {
            segments.push(Segment {
                text: text.to_owned(),
                is_content,
            });
        }
    };
    let mut rest = marked;
    // A template may show a message twice or not at all, so look for any mark.
    while let Some((at, index)) = marks
        .iter()
        .enumerate()
        .filter_map(|(index, mark)| Some((rest.find(mark.as_str())?, index)))
        .min()
    {
        let content = messages[index].content.as_str();
        push(&rest[..at], false);
        push(if trim { content.trim() } else { content }, true);
        rest = &rest[at + marks[index].len()..];
    }
    push(rest, false);
    segments
}

fn template_error(error: minijinja::Error) -> CheckpointError {
    CheckpointError::Template(error.to_string())
}
