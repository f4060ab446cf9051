//! Rendered text, cut where what messages say begins and ends.
//!
//! A conversation is rendered twice: as it is, and with a mark in the place of
//! each text of its messages. What stands between the marks is the template's
//! own text; what stands in their places in the first rendering are the
//! messages', in one of the forms that templates give them.
use super::{ChatTemplate, Message};
use crate::checkpoint::{CheckpointError, Tokenizer};

/// A stretch of rendered text, of one origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    pub text: String,
    /// True for what a message says (encoded as plain text), false for the
    /// template's own text (encoded with special tokens).
    pub is_content: bool,
}

/// A segment that knows where it comes from.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub text: String,
    /// The index of the message whose text it is; `None` for the template's own.
    pub message: Option<usize>,
}

/// A text that a mark stands for.
struct Marked {
    text: String,
    message: usize,
}

/// Where a model's thoughts begin and end in its content. Templates look for
/// them there, and a model writes them as tokens of their own.
const THOUGHT_TAGS: [&str; 2] = ["<think>", "</think>"];

impl ChatTemplate {
    /// The text of a conversation as [`ChatTemplate::render`] gives it, cut
    /// where content begins and ends. Content is what messages say: their
    /// content and reasoning, keys and strings of the arguments of calls.
    /// Whitespace that is all of a text counts as the template's, and so may
    /// `<think>` and `</think>` in what an assistant said.
    ///
    /// Errors: a template that changes content beyond trimming its ends and
    /// quoting it as JSON, or is led by it to another text of its own: what is
    /// content could not be told from what is not.
    pub fn segments(
        &self,
        messages: &[Message],
        tools: &[serde_json::Value],
        add_generation_prompt: bool,
    ) -> Result<Vec<Segment>, CheckpointError> {
        let pieces = self.pieces(messages, tools, add_generation_prompt)?;
        Ok(pieces.into_iter().map(Segment::from).collect())
    }

    pub(super) fn pieces(
        &self,
        messages: &[Message],
        tools: &[serde_json::Value],
        add_generation_prompt: bool,
    ) -> Result<Vec<Piece>, CheckpointError> {
        let whole = self.render(messages, tools, add_generation_prompt)?;
        let prefix = unused_prefix(messages, &whole);
        // Tags are left where they are only if it must be: each parts content in two.
        for keep_tags in [false, true] {
            let mut marks = Vec::new();
            let marked: Vec<Message> = messages
                .iter()
                .enumerate()
                .map(|(index, message)| mark(message, index, keep_tags, &prefix, &mut marks))
                .collect();
            let Ok(marked) = self.render(&marked, tools, add_generation_prompt) else {
                continue;
            };
            if let Some(pieces) = align(&marked, &prefix, &marks, &whole) {
                return Ok(pieces);
            }
        }
        Err(CheckpointError::Template(
            "it changes what messages say, so their text cannot be told from its own".into(),
        ))
    }
}

impl From<Piece> for Segment {
    fn from(piece: Piece) -> Self {
        Self {
            text: piece.text,
            is_content: piece.message.is_some(),
        }
    }
}

/// Tokens of segments, neighbours of one origin together: a cut between them
/// would keep BPE from merging over it.
pub(super) fn encode(tokenizer: &Tokenizer, segments: &[Segment]) -> Vec<u32> {
    let by_origin = segments.chunk_by(|a, b| a.is_content == b.is_content);
    by_origin
        .flat_map(|same| {
            let text: String = same.iter().map(|segment| &*segment.text).collect();
            if same[0].is_content {
                tokenizer.encode(&text)
            } else {
                tokenizer.encode_special(&text)
            }
        })
        .collect()
}

/// How marks begin: with what occurs in no text of the conversation, so that
/// no content can pass for a mark.
fn unused_prefix(messages: &[Message], whole: &str) -> String {
    // U+E000 and U+E001 are for private use: no template looks for them.
    let mut salt = 0;
    loop {
        let prefix = format!("\u{E000}{salt}.");
        let mut taken = whole.contains(&prefix);
        for message in messages {
            message.map_texts(&mut |text| {
                taken |= text.contains(&prefix);
                String::new()
            });
        }
        if !taken {
            return prefix;
        }
        salt += 1;
    }
}

/// The message with marks for its texts, which go to `marks`.
fn mark(
    message: &Message,
    index: usize,
    keep_tags: bool,
    prefix: &str,
    marks: &mut Vec<Marked>,
) -> Message {
    let mut mark_text = |text: &str| {
        // Templates ask whether a text is empty or blank.
        if text.trim().is_empty() {
            return text.to_owned();
        }
        marks.push(Marked {
            text: text.to_owned(),
            message: index,
        });
        format!("{prefix}{}\u{E001}", marks.len() - 1)
    };
    if keep_tags && message.is_reply() {
        message.map_texts(&mut |text| {
            let parts = split_keeping(text, &THOUGHT_TAGS);
            let marked = parts.into_iter().map(|part| match part {
                tag if THOUGHT_TAGS.contains(&tag) => tag.to_owned(),
                text => mark_text(text),
            });
            marked.collect()
        })
    } else {
        message.map_texts(&mut mark_text)
    }
}

/// The text cut before and behind each separator.
fn split_keeping<'a>(text: &'a str, separators: &[&str]) -> Vec<&'a str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((at, len)) = separators
        .iter()
        .filter_map(|separator| Some((rest.find(separator)?, separator.len())))
        .min()
    {
        parts.extend([&rest[..at], &rest[at..at + len]]);
        rest = &rest[at + len..];
    }
    parts.push(rest);
    parts
}

/// Cuts `whole` at the places of the marks in `marked`; `None` if the two are
/// not alike but for the marks.
fn align(marked: &str, prefix: &str, marks: &[Marked], whole: &str) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut push = |text: &str, message| {
        if !text.is_empty() {
            let text = text.to_owned();
            pieces.push(Piece { text, message });
        }
    };
    // The template's own texts, and the mark behind each but the last.
    let mut parts = marked.split(prefix);
    let mut own = vec![parts.next()?];
    let mut order = Vec::new();
    for part in parts {
        let (index, behind) = part.split_once('\u{E001}')?;
        order.push(marks.get(index.parse::<usize>().ok()?)?);
        own.push(behind);
    }
    push(own[0], None);
    let mut rest = whole.strip_prefix(own[0])?;
    for (n, mark) in order.iter().enumerate() {
        let behind = own[n + 1];
        let is_last = n + 1 == order.len();
        let form = forms(&mark.text).find(|form| {
            let after = rest.strip_prefix(form.as_str());
            after.is_some_and(|after| after.starts_with(behind) && (!is_last || after == behind))
        })?;
        push(&form, Some(mark.message));
        push(behind, None);
        rest = &rest[form.len() + behind.len()..];
    }
    rest.is_empty().then_some(pieces)
}

/// What templates make of a text: as it is or as inside a JSON string, with its
/// ends as they are, without newlines, or without whitespace.
fn forms(text: &str) -> impl Iterator<Item = String> {
    type Trim = fn(&str) -> &str;
    const STARTS: [Trim; 3] = [|t| t, |t| t.trim_start_matches('\n'), str::trim_start];
    const ENDS: [Trim; 3] = [|t| t, |t| t.trim_end_matches('\n'), str::trim_end];
    let trimmed = STARTS
        .into_iter()
        .flat_map(|start| ENDS.map(|end| (start, end)));
    [false, true].into_iter().flat_map(move |quoted| {
        trimmed.clone().map(move |(start, end)| {
            let text = end(start(text));
            if quoted {
                let json = serde_json::Value::from(text).to_string();
                json[1..json.len() - 1].to_owned()
            } else {
                text.to_owned()
            }
        })
    })
}
