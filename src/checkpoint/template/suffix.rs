//! What one more message adds to a conversation that is already tokens.
use super::{ChatTemplate, Message, Segment, encode, joined};
use crate::checkpoint::{CheckpointError, Tokenizer};

impl ChatTemplate {
    /// The text that `message` adds behind `history`, cut as by
    /// [`ChatTemplate::segments`].
    ///
    /// It begins where the history's text ends. Where the history's last
    /// message is the assistant's, that is directly behind its content: what a
    /// model wrote is never rendered again, so the suffix begins with what
    /// closes the turn (`<|im_end|>\n`).
    ///
    /// Errors: a template that changes earlier text when a message is added,
    /// as Qwen2.5's does for a `tool` message directly behind another: put
    /// such results into one message.
    pub fn render_suffix(
        &self,
        history: &[Message],
        message: &Message,
        tools: &[serde_json::Value],
        add_generation_prompt: bool,
    ) -> Result<Vec<Segment>, CheckpointError> {
        let mut messages = history.to_vec();
        messages.push(message.clone());
        let segments = self.segments(&messages, tools, add_generation_prompt)?;
        let before = self.history_text(history, tools)?;
        if joined(&segments).starts_with(&before) {
            Ok(behind(segments, before.len()))
        } else {
            Err(CheckpointError::Template(format!(
                "adding a {:?} message changes the text before it",
                message.role
            )))
        }
    }

    /// The tokens that `message` adds behind `history`. `last` is the token
    /// that the sequence ends with: where the model closed its own turn with
    /// `<|im_end|>`, that token is not added again.
    pub fn suffix_tokens(
        &self,
        tokenizer: &Tokenizer,
        history: &[Message],
        message: &Message,
        tools: &[serde_json::Value],
        add_generation_prompt: bool,
        last: Option<u32>,
    ) -> Result<Vec<u32>, CheckpointError> {
        let segments = self.render_suffix(history, message, tools, add_generation_prompt)?;
        let mut tokens = encode(tokenizer, &segments);
        let closed = last.is_some_and(|id| tokenizer.is_special(id) && tokens.first() == Some(&id));
        if closed && history.last().is_some_and(|m| m.role == "assistant") {
            tokens.remove(0);
        }
        Ok(tokens)
    }

    /// The text that a sequence holds when `history` is all that was said.
    fn history_text(
        &self,
        history: &[Message],
        tools: &[serde_json::Value],
    ) -> Result<String, CheckpointError> {
        match history {
            [] => Ok(String::new()),
            [before @ .., reply] if reply.role == "assistant" => {
                Ok(self.render(before, tools, true)? + &reply.content)
            }
            all => self.render(all, tools, false),
        }
    }

    /// Tries the template on a conversation with reasoning in it. A template
    /// that fails on so plain a conversation cannot be relied on either.
    pub(super) fn probe_rewrites(&self) -> bool {
        let history = [
            Message::new("user", "a"),
            Message::new("assistant", "<think>\nb\n</think>\n\nc"),
        ];
        let next = Message::new("user", "d");
        self.render_suffix(&history, &next, &[], true).is_err()
    }
}

/// The segments from byte `at` of their joined text on.
fn behind(segments: Vec<Segment>, at: usize) -> Vec<Segment> {
    let mut skip = at;
    let mut kept = Vec::new();
    for mut segment in segments {
        let dropped = skip.min(segment.text.len());
        skip -= dropped;
        segment.text.drain(..dropped);
        if !segment.text.is_empty() {
            kept.push(segment);
        }
    }
    kept
}
