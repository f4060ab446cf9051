//! Where in an action's text and tokens the tool's name and arguments stand.
use super::call::{CallFormat, Piece};
use super::parse::FENCE;
use super::reasoning::answer_start;
use crate::base::Utf8Decoder;
use crate::engine::Vocabulary;
use std::ops::Range;

/// Byte ranges within an action's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallSpan {
    /// The place that the thought names (`` `f` in a.py ``) with what stands
    /// before it; empty where it names none.
    pub place: Range<usize>,
    /// The tool's name, without its delimiter.
    pub name: Range<usize>,
    /// From behind the name's delimiter to the end of the call or, where there
    /// is one, of its code block.
    pub arguments: Range<usize>,
    /// The lines of the code block, without its fences; empty where there is none.
    pub code: Range<usize>,
}

/// Token positions within an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallTokens {
    /// The tokens up to the end of the place that the thought names; empty
    /// where it names none.
    pub place: Range<usize>,
    /// The first token of the tool's name: what stands before it is the
    /// context of the exact tool entropy.
    pub name_at: usize,
    /// What that token holds before the name (`.` of `functions.edit`): an
    /// allowed name is spelled with it.
    pub name_opening: String,
    /// The tokens of the arguments, code block included.
    pub arguments: Range<usize>,
    /// The tokens of the code block's lines; empty where there is none.
    pub code: Range<usize>,
}

/// The spans of the call in `text`, written as `calls` does; `None` if its name
/// is not there whole.
pub fn call_span(calls: CallFormat, text: &str) -> Option<CallSpan> {
    let layout = calls.layout();
    let answer = answer_start(text);
    let call = answer + text[answer..].find(calls.first_marker())?;
    let mut name_start = call;
    for piece in layout.opening {
        let (Piece::Marker(piece) | Piece::Text(piece)) = piece else {
            continue;
        };
        name_start += text[name_start..].find(piece)? + piece.len();
    }
    let name_end = name_start + text[name_start..].find(layout.name_delimiter)?;
    let arguments_start = name_end + layout.name_delimiter.len();
    let tail = &text[arguments_start..];
    let closing = calls.last_marker();
    let closed = tail
        .find(closing)
        .map_or(tail.len(), |at| at + closing.len());
    let (code, block_end) = block(&tail[closed..]).unwrap_or((0..0, 0));
    let end = arguments_start + closed;
    Some(CallSpan {
        place: answer..answer + place_end(&text[answer..call]),
        name: name_start..name_end,
        arguments: arguments_start..end + block_end,
        code: end + code.start..end + code.end,
    })
}

/// Where `` `f` in a.py `` ends in a thought; 0 where there is no such place.
fn place_end(thought: &str) -> usize {
    let end = || {
        let opening = thought.find('`')?;
        let closing = opening + 1 + thought[opening + 1..].find('`')?;
        let path = closing + 1 + thought[closing + 1..].strip_prefix(" in ").map(|_| 4)?;
        let length = thought[path..].find(char::is_whitespace)?;
        (length > 0).then_some(path + length)
    };
    end().unwrap_or(0)
}

/// The lines of the fenced block that `text` begins with, and where its closing
/// fence ends; both end with the text, if it is cut off.
fn block(text: &str) -> Option<(Range<usize>, usize)> {
    let opening = text.find(FENCE)?;
    if !text[..opening].trim().is_empty() {
        return None;
    }
    // An opening fence that was cut off has no lines.
    let Some(line_end) = text[opening..].find('\n').map(|at| opening + at) else {
        return Some((text.len()..text.len(), text.len()));
    };
    let first = line_end + 1;
    let after = &text[opening..];
    let n_backticks = after.len() - after.trim_start_matches('`').len();
    let closing = format!("\n{}", &after[..n_backticks]);
    // An empty block closes on the line after its opening.
    Some(match text[line_end..].find(&closing) {
        Some(at) => {
            let end = line_end + at + 1;
            (first..end, end + n_backticks)
        }
        None => (first..text.len(), text.len()),
    })
}

/// How many of a decoded text's tokens are reasoning, its tokens included.
pub fn n_reasoning_tokens(vocabulary: &dyn Vocabulary, tokens: &[u32]) -> usize {
    let end = answer_start(&vocabulary.decode(tokens));
    token_ends(vocabulary, tokens).partition_point(|&token_end| token_end <= end)
}

/// The token positions of the call in an action's tokens.
pub fn locate_call(
    vocabulary: &dyn Vocabulary,
    calls: CallFormat,
    tokens: &[u32],
) -> Option<CallTokens> {
    let ends = token_ends(vocabulary, tokens);
    let text = vocabulary.decode(tokens);
    let span = call_span(calls, &text)?;
    // The token that holds byte `at`: the first that ends behind it.
    let holder = |at: usize| ends.partition_point(|&end| end <= at);
    let name_at = holder(span.name.start);
    let name_token_start = name_at.checked_sub(1).map_or(0, |before| ends[before]);
    Some(CallTokens {
        place: holder(span.place.start)..match span.place.is_empty() {
            true => holder(span.place.start),
            false => holder(span.place.end - 1) + 1,
        },
        name_at,
        name_opening: text[name_token_start..span.name.start].to_owned(),
        arguments: holder(span.arguments.start)..holder(span.arguments.end - 1) + 1,
        code: holder(span.code.start)..match span.code.is_empty() {
            true => holder(span.code.start),
            false => holder(span.code.end - 1) + 1,
        },
    })
}

/// For each token the byte offset in the decoded text at which it ends. A
/// token that ends within a character ends where the character begins.
pub fn token_ends(vocabulary: &dyn Vocabulary, tokens: &[u32]) -> Vec<usize> {
    let mut decoder = Utf8Decoder::default();
    let mut end = 0;
    let mut ends: Vec<usize> = tokens
        .iter()
        .map(|&token| {
            end += decoder.push(vocabulary.token_bytes(token)).len();
            end
        })
        .collect();
    if let Some(last) = ends.last_mut() {
        *last += decoder.finish().len();
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::scripted::ByteVocabulary;

    const EDIT: &str = "Né.\n<tool_call>\n{\"name\": \"edit\", \"arguments\": {\"path\": \"a.py\", \"symbol\": \"f\"}}\n</tool_call>\n```python\nx = 1\n```<|im_end|>";

    #[test]
    fn spans_cover_name_and_arguments_with_the_code() {
        let span = call_span(CallFormat::Hermes, EDIT).unwrap();
        assert_eq!(&EDIT[span.name], "edit");
        assert_eq!(&EDIT[span.code], "x = 1\n");
        let arguments = &EDIT[span.arguments];
        assert!(arguments.starts_with(" \"arguments\": {") && arguments.ends_with("x = 1\n```"));
        assert!(span.place.is_empty());
        let placed = format!("Cause: `A.f` in a.py adds.\n{}", &EDIT[5..]);
        let place = call_span(CallFormat::Hermes, &placed).unwrap().place;
        assert_eq!(&placed[place], "Cause: `A.f` in a.py");
        let submit =
            "<tool_call>\n{\"name\": \"submit\", \"arguments\": {}}\n</tool_call><|im_end|>";
        let span = call_span(CallFormat::Hermes, submit).unwrap();
        assert_eq!(&submit[span.arguments], " \"arguments\": {}}\n</tool_call>");
        assert!(span.code.is_empty());
        assert_eq!(call_span(CallFormat::Hermes, "no call"), None);
        let cut = "<tool_call>\n{\"name\": \"edit\", \"arguments\": {}}\n</tool_call>\n```é";
        assert!(call_span(CallFormat::Hermes, cut).unwrap().code.is_empty());
    }

    #[test]
    fn every_format_has_its_spans() {
        for calls in CallFormat::ALL {
            let call = calls.write("edit", &[("path", "a.py")]);
            let text = format!("Cause: `f` in a.py adds.\n{call}\n```python\nx = 1\n```");
            let span = call_span(calls, &text).unwrap();
            assert_eq!(&text[span.name], "edit", "{calls:?}");
            assert_eq!(&text[span.code], "x = 1\n");
            assert_eq!(&text[span.place], "Cause: `f` in a.py");
            let arguments = &text[span.arguments];
            assert!(arguments.contains("a.py") && arguments.ends_with("x = 1\n```"));
        }
    }

    #[test]
    fn reasoning_stands_before_the_place_and_no_call_in_it_counts() {
        let vocabulary = ByteVocabulary::chat_ml().with(["<think>", "</think>"]);
        let reasoning = "<think>\nA <tool_call>\n{\"name\": \"view\",\n</think>";
        let text = format!("{reasoning}\n\nCause: `f` in a.py adds.\n{}", &EDIT[5..]);
        let tokens = vocabulary.encode_special(&text);
        let n = n_reasoning_tokens(&vocabulary, &tokens);
        assert_eq!(vocabulary.decode(&tokens[..n]), reasoning);
        let call = locate_call(&vocabulary, CallFormat::Hermes, &tokens).unwrap();
        let place = vocabulary.decode(&tokens[call.place]);
        assert_eq!(place, "\n\nCause: `f` in a.py");
        assert!(
            vocabulary
                .decode(&tokens[call.name_at..])
                .starts_with("edit")
        );
        assert_eq!(
            n_reasoning_tokens(&vocabulary, &vocabulary.encode_special(EDIT)),
            0
        );
    }

    #[test]
    fn token_positions_agree_with_byte_positions() {
        let vocabulary = ByteVocabulary::chat_ml();
        let tokens = vocabulary.encode_special(EDIT);
        let call = locate_call(&vocabulary, CallFormat::Hermes, &tokens).unwrap();
        let opening = vocabulary.decode(&tokens[..call.name_at]);
        assert!(opening.ends_with("{\"name\": \""), "{opening}");
        let arguments = vocabulary.decode(&tokens[call.arguments]);
        assert!(arguments.starts_with(" \"arg") && arguments.ends_with("\n```"));
        assert_eq!(vocabulary.decode(&tokens[call.code]), "x = 1\n");
        assert_eq!(call.name_opening, "");
    }
}
