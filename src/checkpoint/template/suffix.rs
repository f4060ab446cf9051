//! What one more message adds to a conversation that is already tokens.
use super::segments::{Piece, encode};
use super::{ChatTemplate, Message, Segment};
use crate::checkpoint::{CheckpointError, Tokenizer};

/// Content for a message that is already tokens: where it stands is what is
/// looked for, and what it says must lead a template nowhere.
const STAND_IN: &str = "x";

impl ChatTemplate {
    /// The text that `message` adds behind `history`, cut as by
    /// [`ChatTemplate::segments`].
    ///
    /// It begins where the history's text ends. Where the history's last
    /// message is the assistant's, that is directly behind its content: what a
    /// model wrote is never rendered again, so the suffix begins with what
    /// closes the turn (`<|im_end|>\n`).
    ///
    /// With a template that [rewrites history](ChatTemplate::rewrites_history)
    /// the text before the suffix is not looked at: it stays what it was.
    ///
    /// Errors: any other template that changes earlier text when a message is
    /// added, and each that changes how the message before is closed, as
    /// Qwen2.5's does for a `tool` message directly behind another: put such
    /// results into one message. A template that does not show the message before.
    pub fn render_suffix(
        &self,
        history: &[Message],
        message: &Message,
        tools: &[serde_json::Value],
        add_generation_prompt: bool,
    ) -> Result<Vec<Segment>, CheckpointError> {
        let Some((last, before)) = history.split_last() else {
            return self.segments(std::slice::from_ref(message), tools, add_generation_prompt);
        };
        let mut told = before.to_vec();
        told.push(stand_in(last));
        // The text up to the last message, and what closes that one.
        let (head, closing) = if last.is_reply() {
            (self.render(before, tools, true)?, String::new())
        } else {
            let (head, closing) = cut_behind(self.pieces(&told, tools, false)?, before.len())?;
            (text(&head), text(&closing))
        };
        told.push(message.clone());
        let pieces = self.pieces(&told, tools, add_generation_prompt)?;
        let (new_head, tail) = cut_behind(pieces, before.len())?;
        let keeps_head = if last.is_reply() {
            // Between the prompt and its content, the model writes what its
            // template adds (GLM-4: a newline).
            text(&new_head).starts_with(&head)
        } else {
            text(&new_head) == head
        };
        if (keeps_head || self.rewrites_history()) && text(&tail).starts_with(&closing) {
            Ok(behind(tail, closing.len()))
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
        if closed && history.last().is_some_and(Message::is_reply) {
            tokens.remove(0);
        }
        Ok(tokens)
    }

    /// Tries the template on a conversation with reasoning in it. A template
    /// that fails on so plain a conversation cannot be relied on either.
    pub(super) fn probe_rewrites(&self) -> bool {
        !self.keeps_thoughts().unwrap_or(false)
    }

    /// True if a reply that another message follows is shown as it was when it
    /// was the last, thoughts and all, behind the prompt that it was written to.
    fn keeps_thoughts(&self) -> Result<bool, CheckpointError> {
        let (thought, answer) = ("@@thought@@", "@@answer@@");
        let reply = format!("<think>\n{thought}\n</think>\n\n{answer}");
        let chat = [
            Message::new("user", "a"),
            Message::new("assistant", reply),
            Message::new("user", "b"),
        ];
        let prompt = self.render(&chat[..1], &[], true)?;
        let as_last = self.render(&chat[..2], &[], false)?;
        let later = self.render(&chat, &[], true)?;
        let Some(at) = as_last.rfind(answer) else {
            return Ok(false);
        };
        Ok(later.starts_with(&prompt)
            && later.starts_with(&as_last[..at + answer.len()])
            && later.contains(thought))
    }
}

/// A message in the place of one that is already tokens. A model's turn is what
/// it wrote, calls and thoughts included, and nothing that a template adds.
fn stand_in(message: &Message) -> Message {
    if message.is_reply() {
        return Message::new(&*message.role, STAND_IN);
    }
    Message {
        content: STAND_IN.into(),
        ..message.clone()
    }
}

/// The pieces before the content of message `index`, and those behind it.
fn cut_behind(
    mut pieces: Vec<Piece>,
    index: usize,
) -> Result<(Vec<Piece>, Vec<Piece>), CheckpointError> {
    let at = pieces
        .iter()
        .rposition(|piece| piece.message == Some(index));
    let at = at.ok_or_else(|| {
        CheckpointError::Template("it does not show the message before the last".into())
    })?;
    let tail = pieces.split_off(at + 1);
    pieces.pop();
    Ok((pieces, tail))
}

fn text(pieces: &[Piece]) -> String {
    pieces.iter().map(|piece| &*piece.text).collect()
}

/// The pieces from byte `at` of their joined text on.
fn behind(pieces: Vec<Piece>, at: usize) -> Vec<Segment> {
    let mut skip = at;
    let mut kept = Vec::new();
    for mut piece in pieces {
        let dropped = skip.min(piece.text.len());
        skip -= dropped;
        piece.text.drain(..dropped);
        if !piece.text.is_empty() {
            kept.push(Segment::from(piece));
        }
    }
    kept
}
