//! How a family of models writes a tool call: what stands around the tool's
//! name, its arguments and their values.
//!
//! The prompt's example, the grammar, the parser and the spans are all made from
//! one [`Layout`], so that they cannot differ. The code of an edit is no argument
//! in any of them: it travels raw in a fenced block behind the call.
//!
//! The chat template says which format is a model's.
use super::parse_error::ParseError;
use super::reasoning::answer_start;
use serde_json::{Map, Value};

/// The formats that the known families were trained to write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CallFormat {
    /// JSON between `<tool_call>` tokens: Hermes 2 Pro, Qwen2.5, Qwen3.
    #[default]
    Hermes,
    /// Parameters between XML-like tags: Qwen3-Coder.
    QwenXml,
    /// Keys and values between tokens of their own: GLM-4.5, GLM-4.6.
    Glm,
    /// JSON in a section of calls, each with its number: Kimi-K2.
    Kimi,
}

/// A piece of a call's fixed text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// One special token, in a vocabulary of the family.
    Marker(&'static str),
    /// Text.
    Text(&'static str),
    /// The call's number: decimal digits.
    Index,
}

/// The fixed text of a call, from its first token to its last:
/// `opening name name_delimiter arguments_opening argument* closing`, where an
/// argument is `key_opening key key_closing value value_closing`.
#[derive(Debug)]
pub(crate) struct Layout {
    /// What the template of such a family holds and no other's does.
    signature: &'static str,
    pub opening: &'static [Piece],
    /// Closes the tool's name; keeps a name apart from a longer one.
    pub name_delimiter: &'static str,
    pub arguments_opening: &'static [Piece],
    pub key_opening: &'static [Piece],
    pub key_closing: &'static [Piece],
    pub value_closing: &'static [Piece],
    /// Between two arguments.
    pub separator: &'static str,
    pub closing: &'static [Piece],
    /// Values are JSON: strings stand in quotes, with escapes. Else they are raw.
    pub is_json: bool,
}

use Piece::{Index, Marker, Text};

const HERMES: Layout = Layout {
    signature: "{\"name\": <function-name>",
    opening: &[Marker("<tool_call>"), Text("\n{\"name\": \"")],
    name_delimiter: "\",",
    arguments_opening: &[Text(" \"arguments\": {")],
    key_opening: &[Text("\"")],
    key_closing: &[Text("\": ")],
    value_closing: &[],
    separator: ", ",
    closing: &[Text("}}\n"), Marker("</tool_call>")],
    is_json: true,
};

const QWEN_XML: Layout = Layout {
    signature: "<function=",
    opening: &[Marker("<tool_call>"), Text("\n<function=")],
    name_delimiter: ">",
    arguments_opening: &[Text("\n")],
    key_opening: &[Text("<parameter=")],
    key_closing: &[Text(">\n")],
    value_closing: &[Text("\n</parameter>\n")],
    separator: "",
    closing: &[Text("</function>\n"), Marker("</tool_call>")],
    is_json: false,
};

const GLM: Layout = Layout {
    signature: "<arg_key>",
    opening: &[Marker("<tool_call>")],
    name_delimiter: "\n",
    arguments_opening: &[],
    key_opening: &[Marker("<arg_key>")],
    key_closing: &[Marker("</arg_key>"), Text("\n"), Marker("<arg_value>")],
    value_closing: &[Marker("</arg_value>"), Text("\n")],
    separator: "",
    closing: &[Marker("</tool_call>")],
    is_json: false,
};

const KIMI: Layout = Layout {
    signature: "<|tool_calls_section_begin|>",
    opening: &[
        Marker("<|tool_calls_section_begin|>"),
        Marker("<|tool_call_begin|>"),
        Text("functions."),
    ],
    name_delimiter: ":",
    arguments_opening: &[Index, Marker("<|tool_call_argument_begin|>"), Text("{")],
    key_opening: &[Text("\"")],
    key_closing: &[Text("\": ")],
    value_closing: &[],
    separator: ", ",
    closing: &[
        Text("}"),
        Marker("<|tool_call_end|>"),
        Marker("<|tool_calls_section_end|>"),
    ],
    is_json: true,
};

/// A call that was read: what it names, and what stands behind it.
#[derive(Debug, PartialEq)]
pub(crate) struct Call<'a> {
    pub name: String,
    pub arguments: Map<String, Value>,
    pub after: &'a str,
}

impl CallFormat {
    /// Every format, the general one last.
    pub const ALL: [Self; 4] = [Self::QwenXml, Self::Glm, Self::Kimi, Self::Hermes];

    /// The format that a chat template writes, by its source; Hermes' where it
    /// writes none that is known.
    pub fn of_template(source: &str) -> Self {
        let writes = |format: &Self| source.contains(format.layout().signature);
        Self::ALL.into_iter().find(writes).unwrap_or_default()
    }

    pub(crate) fn layout(self) -> &'static Layout {
        match self {
            Self::Hermes => &HERMES,
            Self::QwenXml => &QWEN_XML,
            Self::Glm => &GLM,
            Self::Kimi => &KIMI,
        }
    }

    /// The special tokens of a call, each once.
    pub fn markers(self) -> Vec<&'static str> {
        let l = self.layout();
        let pieces = [
            l.opening,
            l.arguments_opening,
            l.key_opening,
            l.key_closing,
            l.value_closing,
            l.closing,
        ];
        let markers = pieces
            .into_iter()
            .flatten()
            .filter_map(|piece| match piece {
                Marker(text) => Some(*text),
                Text(_) | Index => None,
            });
        let mut markers: Vec<_> = markers.collect();
        markers.sort_unstable();
        markers.dedup();
        markers
    }

    /// The text before the tool's name.
    pub fn opening(self) -> String {
        Piece::texts(self.layout().opening)
    }

    /// What a call begins with.
    pub(crate) fn first_marker(self) -> &'static str {
        self.layout().opening[0].text()
    }

    /// What a call ends with.
    pub(crate) fn last_marker(self) -> &'static str {
        self.layout()
            .closing
            .last()
            .expect("a call has an end")
            .text()
    }

    /// A call as this format writes it, with strings as arguments.
    pub fn write(self, name: &str, arguments: &[(&str, &str)]) -> String {
        let layout = self.layout();
        let arguments: Vec<String> = arguments
            .iter()
            .map(|(key, value)| {
                let value = match layout.is_json {
                    true => Value::from(*value).to_string(),
                    false => (*value).to_owned(),
                };
                let [opening, closing] = [layout.key_opening, layout.key_closing].map(Piece::texts);
                format!(
                    "{opening}{key}{closing}{value}{}",
                    Piece::texts(layout.value_closing)
                )
            })
            .collect();
        let [opening, before, closing] =
            [layout.opening, layout.arguments_opening, layout.closing].map(Piece::texts);
        let (delimiter, arguments) = (layout.name_delimiter, arguments.join(layout.separator));
        format!("{opening}{name}{delimiter}{before}{arguments}{closing}")
    }

    /// Reads the first call in `text`, more tolerant of blanks than the grammar.
    ///
    /// Errors: one sentence for the model.
    pub(crate) fn read(self, text: &str) -> Result<Call<'_>, ParseError> {
        let [first, last] = [self.first_marker(), self.last_marker()];
        let answer = &text[answer_start(text)..];
        let Some((_, rest)) = answer.split_once(first) else {
            return Err(ParseError(format!(
                "That was no tool call. Answer with {first}, {}, and {last}.",
                match self {
                    Self::Hermes => "a line of JSON",
                    Self::QwenXml | Self::Glm => "the tool's name and its arguments",
                    Self::Kimi => "the tool's name, its arguments as JSON",
                }
            )));
        };
        let Some((body, after)) = rest.split_once(last) else {
            return Err(ParseError(format!("The call was not closed with {last}.")));
        };
        let (name, arguments) = match self {
            Self::Hermes => read_object(body)?,
            Self::Kimi => self.read_numbered(body)?,
            Self::QwenXml | Self::Glm => self.read_pairs(body)?,
        };
        Ok(Call {
            name,
            arguments,
            after,
        })
    }

    /// `functions.NAME:0<|tool_call_argument_begin|>{...}<|tool_call_end|>`.
    fn read_numbered(self, body: &str) -> Result<(String, Map<String, Value>), ParseError> {
        const BEGIN: &str = "<|tool_call_argument_begin|>";
        let body = body.split("<|tool_call_end|>").next().unwrap_or(body);
        let body = body.trim().trim_start_matches("<|tool_call_begin|>");
        let Some((head, json)) = body.split_once(BEGIN) else {
            return Err(ParseError(format!("The call has no {BEGIN}.")));
        };
        let name = head.trim().trim_start_matches("functions.");
        let name = name.split(':').next().unwrap_or(name).trim();
        Ok((name.to_owned(), object(parse_json(json)?)?))
    }

    /// The name, then each argument between its markers.
    fn read_pairs(self, body: &str) -> Result<(String, Map<String, Value>), ParseError> {
        let layout = self.layout();
        let after_marker = Piece::texts(&layout.opening[1..]);
        let body = body.trim_start();
        let body = body.strip_prefix(after_marker.trim_start()).unwrap_or(body);
        let key_opening = Piece::texts(layout.key_opening);
        let key_end = layout.key_closing[0].text().trim_end();
        let value_opening = layout
            .key_closing
            .last()
            .expect("a value has a beginning")
            .text();
        let value_end = layout.value_closing[0].text().trim();
        let name_end = body
            .find(layout.name_delimiter)
            .or_else(|| body.find(&key_opening))
            .unwrap_or(body.len());
        let name = body[..name_end].trim().to_owned();
        let mut arguments = Map::new();
        let mut rest = body;
        while let Some((_, tail)) = rest.split_once(&key_opening) {
            let unclosed = || ParseError(format!("An argument is not closed with {value_end}."));
            let (key, tail) = tail.split_once(key_end).ok_or_else(unclosed)?;
            // Where the key's end is the value's beginning there is nothing between.
            let value = match value_opening.trim_end() == key_end {
                true => tail,
                false => tail.split_once(value_opening).ok_or_else(unclosed)?.1,
            };
            let (value, tail) = value.split_once(value_end).ok_or_else(unclosed)?;
            // The line ends are the layout's, at either side.
            let value = value.strip_prefix('\n').unwrap_or(value);
            let value = value.strip_suffix('\n').unwrap_or(value);
            arguments.insert(key.trim().to_owned(), Value::from(value));
            rest = tail;
        }
        Ok((name, arguments))
    }
}

/// Where the first call of any format begins; `None` where there is none.
pub(crate) fn call_start(text: &str) -> Option<usize> {
    let answer = answer_start(text);
    let starts = CallFormat::ALL.map(|format| text[answer..].find(format.first_marker()));
    Some(answer + starts.into_iter().flatten().min()?)
}

/// `{"name": ..., "arguments": {...}}`.
fn read_object(body: &str) -> Result<(String, Map<String, Value>), ParseError> {
    let mut call = parse_json(body)?;
    let name = call.get("name").and_then(Value::as_str).unwrap_or("");
    let name = name.to_owned();
    match call.get_mut("arguments") {
        Some(arguments) => Ok((name, object(arguments.take())?)),
        None => Ok((name, Map::new())),
    }
}

fn parse_json(text: &str) -> Result<Value, ParseError> {
    serde_json::from_str(text.trim())
        .map_err(|e| ParseError(format!("The call is not valid JSON: {e}.")))
}

fn object(value: Value) -> Result<Map<String, Value>, ParseError> {
    match value {
        Value::Object(arguments) => Ok(arguments),
        _ => Err(ParseError("\"arguments\" must be a JSON object.".into())),
    }
}

impl Piece {
    /// As it is written; a number is the first one.
    fn text(&self) -> &'static str {
        match self {
            Marker(text) | Text(text) => text,
            Index => "0",
        }
    }

    /// The text of several, one after the other.
    pub(crate) fn texts(pieces: &[Self]) -> String {
        pieces.iter().map(Self::text).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_format_writes_it_reads() {
        let arguments = [("path", "a \"b\".py"), ("symbol", "A.f")];
        for format in CallFormat::ALL {
            for arguments in [&arguments[..], &[]] {
                let text = format!("Why.\n{}\n```\nx\n```", format.write("edit", arguments));
                let call = format.read(&text).unwrap();
                assert_eq!(call.name, "edit", "{text}");
                assert_eq!(call.after, "\n```\nx\n```");
                let read: Vec<_> = call.arguments.iter().map(|(k, v)| (&**k, v)).collect();
                let values: Vec<Value> = arguments.iter().map(|a| a.1.into()).collect();
                let expected: Vec<_> = arguments.iter().map(|a| a.0).zip(&values).collect();
                assert_eq!(read, expected);
                assert_eq!(call_start(&text), Some("Why.\n".len()));
            }
        }
    }

    #[test]
    fn calls_are_written_as_the_families_templates_write_them() {
        let written = |format: CallFormat| format.write("view", &[("path", "a.py")]);
        assert_eq!(
            written(CallFormat::Hermes),
            "<tool_call>\n{\"name\": \"view\", \"arguments\": {\"path\": \"a.py\"}}\n</tool_call>"
        );
        assert_eq!(
            written(CallFormat::QwenXml),
            "<tool_call>\n<function=view>\n<parameter=path>\na.py\n</parameter>\n</function>\n</tool_call>"
        );
        assert_eq!(
            written(CallFormat::Glm),
            "<tool_call>view\n<arg_key>path</arg_key>\n<arg_value>a.py</arg_value>\n</tool_call>"
        );
        assert_eq!(
            written(CallFormat::Kimi),
            "<|tool_calls_section_begin|><|tool_call_begin|>functions.view:0<|tool_call_argument_begin|>{\"path\": \"a.py\"}<|tool_call_end|><|tool_calls_section_end|>"
        );
    }

    #[test]
    fn a_reader_forgives_blanks_and_says_what_is_missing() {
        let glm = "<tool_call>view<arg_key>path</arg_key><arg_value>a.py</arg_value></tool_call>";
        assert_eq!(CallFormat::Glm.read(glm).unwrap().arguments["path"], "a.py");
        let kimi = "<|tool_calls_section_begin|> <|tool_call_begin|> functions.view:12 <|tool_call_argument_begin|> {\"path\": \"a.py\"} <|tool_call_end|> <|tool_calls_section_end|>";
        assert_eq!(CallFormat::Kimi.read(kimi).unwrap().name, "view");
        let refusal = |format: CallFormat, text: &str| format.read(text).unwrap_err().0;
        let open = "<tool_call>view\n<arg_key>path</arg_key>\n<arg_value>a.py\n</tool_call>";
        assert!(refusal(CallFormat::Glm, open).contains("not closed with </arg_value>"));
        assert!(refusal(CallFormat::Kimi, "words").contains("<|tool_calls_section_begin|>"));
        let bare = "<|tool_calls_section_begin|>view<|tool_calls_section_end|>";
        assert!(refusal(CallFormat::Kimi, bare).contains("<|tool_call_argument_begin|>"));
    }

    #[test]
    fn the_template_says_which_format_it_is() {
        let cases = [
            (
                "return {\"name\": <function-name>, ...}",
                CallFormat::Hermes,
            ),
            ("no tools at all", CallFormat::Hermes),
            ("<function=example_function_name>", CallFormat::QwenXml),
            ("<tool_call>{f}\n<arg_key>{k}</arg_key>", CallFormat::Glm),
            ("<|tool_calls_section_begin|>", CallFormat::Kimi),
        ];
        for (source, format) in cases {
            assert_eq!(CallFormat::of_template(source), format, "{source}");
        }
    }
}
