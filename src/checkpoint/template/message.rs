//! The messages of a conversation, in the form that OpenAI's API and
//! `transformers` share.
use serde::{Deserialize, Serialize};

/// One message of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// `system`, `user`, `assistant` or `tool`: the program's own word, never
    /// a user's text.
    pub role: String,
    #[serde(default)]
    pub content: String,
    /// What an assistant thought before it answered, where that is kept apart
    /// from its content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
    /// The calls that an assistant's turn ends with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// The call that a `tool` message answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// The tool that a `tool` message comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// GLM-4's own form of a call: here the tool's name, its arguments as content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<String>,
}

/// A call of a tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolCall {
    /// What a `tool` message names as its `tool_call_id`; Kimi-K2 wants
    /// `functions.NAME:N`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(rename = "type", default)]
    pub kind: ToolKind,
    pub function: FunctionCall,
}

/// What is called: there is one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ToolKind {
    #[default]
    Function,
}

/// The function of a call, and what it is called with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionCall {
    /// A name among the tools that the program gave.
    pub name: String,
    /// An object; for templates that paste text (DeepSeek-V3), a string of JSON.
    pub arguments: serde_json::Value,
}

impl Message {
    /// A message that is its content and nothing else.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self {
            role: role.into(),
            content: content.into(),
            ..Self::default()
        }
    }

    /// True for what a model wrote.
    pub fn is_reply(&self) -> bool {
        self.role == "assistant"
    }

    /// The message with each text that is not the program's own replaced by
    /// `replace` of it: the content first. Names and ids are the program's.
    pub(super) fn map_texts(&self, replace: &mut dyn FnMut(&str) -> String) -> Self {
        let mut mapped = self.clone();
        mapped.content = replace(&self.content);
        mapped.reasoning_content = self.reasoning_content.as_deref().map(&mut *replace);
        for call in &mut mapped.tool_calls {
            map_json(&mut call.function.arguments, replace);
        }
        mapped
    }

    /// What a template sees of it: fields that are not there are not defined.
    pub(super) fn to_json(&self) -> serde_json::Value {
        let mut json = serde_json::to_value(self).expect("a message has no maps but JSON's own");
        if let Some(thought) = &self.reasoning_content {
            // `transformers` gives reasoning under its older name too.
            json["thinking"] = thought.as_str().into();
        }
        json
    }
}

/// Replaces every string of a JSON value, keys included.
fn map_json(json: &mut serde_json::Value, replace: &mut dyn FnMut(&str) -> String) {
    match json {
        serde_json::Value::String(text) => *text = replace(text),
        serde_json::Value::Array(items) => {
            for item in items {
                map_json(item, replace);
            }
        }
        serde_json::Value::Object(map) => {
            *map = std::mem::take(map)
                .into_iter()
                .map(|(key, mut value)| {
                    let key = replace(&key);
                    map_json(&mut value, replace);
                    (key, value)
                })
                .collect();
        }
        _ => {}
    }
}
