//! Reads an action from decoded text.
//!
//! The grammar makes calls well-formed where the engine can hold the model to
//! it; the parser is a little more tolerant, for engines that cannot.
use super::action::{Action, Change, Hunk, Query};
use super::call::{Call, CallFormat};
use super::parse_error::ParseError;
use super::tool::{Block, Form, ParamKind, ToolSet, form};
use crate::base::{ToolForm, ToolName};
use serde_json::{Map, Value};

/// Markers of a search/replace hunk, each alone on its line.
pub(crate) const SEARCH_MARK: &str = "<<<<<<< SEARCH";
pub(crate) const DIVIDER_MARK: &str = "=======";
pub(crate) const REPLACE_MARK: &str = ">>>>>>> REPLACE";

/// Opens and closes a block of code. A block whose own lines begin with it stands between
/// [longer ones](LONG_FENCE), as in Markdown.
pub(crate) const FENCE: &str = "```";
pub(crate) const LONG_FENCE: &str = "````";

/// The action that `text` asks for, of the tools in `tools`, in a call as
/// `calls` writes it.
///
/// What stands before the call is the model's thought, what stands after it is
/// passed over. Errors: one sentence that says what is wrong and what to do.
pub fn parse(calls: CallFormat, tools: &ToolSet, text: &str) -> Result<Action, ParseError> {
    let Call {
        name,
        arguments,
        after,
    } = calls.read(text)?;
    let Some((tool, forms)) = tools.tools().find(|(tool, _)| tool.name() == name) else {
        let names: Vec<&str> = tools.names().into_iter().map(ToolName::name).collect();
        return fail(format!(
            "There is no tool \"{name}\" to call now. The tools are: {}.",
            names.join(", ")
        ));
    };
    let called = choose_form(tool.name(), &forms, &arguments)?;
    let block = match form(called).block {
        Block::None => String::new(),
        block => fenced(after, tool.name(), block)?,
    };
    build(called, &arguments, block)
}

fn fail<T>(sentence: String) -> Result<T, ParseError> {
    Err(ParseError(sentence))
}

/// The form whose arguments are exactly the ones given.
fn choose_form(
    tool: &str,
    forms: &[ToolForm],
    arguments: &Map<String, Value>,
) -> Result<ToolForm, ParseError> {
    let fits = |open: &&ToolForm| {
        let params = form(**open).params;
        params.len() == arguments.len() && params.iter().all(|p| arguments.contains_key(p.name))
    };
    if let Some(open) = forms.iter().find(fits) {
        return Ok(*open);
    }
    let calls: Vec<String> = forms
        .iter()
        .map(|open| {
            let names: Vec<_> = form(*open).params.iter().map(|p| p.name).collect();
            format!("{tool}({})", names.join(", "))
        })
        .collect();
    fail(format!("Call it as {}.", calls.join(" or ")))
}

/// The content of the fenced block behind a call, up to the first fence as long as the
/// opening one that starts a line and is no line of a hunk.
fn fenced(after: &str, tool: &str, block: Block) -> Result<String, ParseError> {
    let opening = after.trim_start();
    let fence = &opening[..opening.len() - opening.trim_start_matches('`').len()];
    if fence.len() < FENCE.len() {
        return fail(format!(
            "After a call of {tool} comes the code, between {FENCE} fences."
        ));
    }
    // The rest of the opening line is the language's name.
    let Some((_, body)) = opening.split_once('\n') else {
        return fail("The code block is empty.".into());
    };
    let mut code = String::new();
    let mut in_hunk = false;
    for line in body.split_inclusive('\n') {
        if line.starts_with(fence) && !in_hunk {
            return Ok(code);
        }
        if block == Block::Hunks {
            match line.trim_end() {
                SEARCH_MARK => in_hunk = true,
                REPLACE_MARK => in_hunk = false,
                _ => {}
            }
        }
        code.push_str(line);
    }
    fail(
        "The code block was cut off before its closing ```. Write less: one function at a time."
            .into(),
    )
}

fn build(
    called: ToolForm,
    arguments: &Map<String, Value>,
    block: String,
) -> Result<Action, ParseError> {
    let text = |name: &str| text_argument(&form(called), arguments, name);
    let number = |name: &str| number_argument(arguments, name);
    let lines = || -> Result<(usize, usize), ParseError> {
        let (start, end) = (number("start")?, number("end")?);
        if start == 0 || end < start {
            return fail(format!(
                "Lines {start} to {end} are no range: lines count from 1, and end is not before start."
            ));
        }
        Ok((start, end))
    };
    Ok(match called {
        ToolForm::List => Action::List {
            path: text("path")?,
        },
        ToolForm::View => Action::View {
            path: text("path")?,
            lines: None,
        },
        ToolForm::ViewLines => Action::View {
            path: text("path")?,
            lines: Some(lines()?),
        },
        ToolForm::ViewSymbol => Action::ViewSymbol {
            path: text("path")?,
            symbol: text("symbol")?,
        },
        ToolForm::SearchText => Action::Search(Query::Text(text("text")?)),
        ToolForm::SearchPattern => Action::Search(Query::Pattern(text("pattern")?)),
        ToolForm::SearchFiles => Action::Search(Query::Files {
            pattern: text("pattern")?,
            glob: text("glob")?,
            context: number("context")?,
        }),
        ToolForm::EditSymbol => Action::Edit {
            path: text("path")?,
            change: Change::Symbol {
                symbol: text("symbol")?,
                code: block,
            },
        },
        ToolForm::EditLines => {
            let (start, end) = lines()?;
            Action::Edit {
                path: text("path")?,
                change: Change::Lines {
                    start,
                    end,
                    code: block,
                },
            }
        }
        ToolForm::EditHunks => Action::Edit {
            path: text("path")?,
            change: Change::Hunks(hunks(&block)?),
        },
        ToolForm::Write => Action::Write {
            path: text("path")?,
            text: block,
        },
        ToolForm::Run => Action::Run {
            command: text("command")?,
        },
        ToolForm::Undo => Action::Undo,
        ToolForm::Submit => Action::Submit,
    })
}

fn text_argument(
    form: &Form,
    arguments: &Map<String, Value>,
    name: &str,
) -> Result<String, ParseError> {
    let Some(value) = arguments.get(name).and_then(Value::as_str) else {
        return fail(format!("\"{name}\" must be a string."));
    };
    let kind = form.params.iter().find(|p| p.name == name).map(|p| p.kind);
    let value = match kind {
        Some(ParamKind::ExistingPath | ParamKind::AnyPath) => value.trim().trim_start_matches("./"),
        _ => value,
    };
    if value.trim().is_empty() {
        return fail(format!("\"{name}\" is empty."));
    }
    Ok(value.to_string())
}

fn number_argument(arguments: &Map<String, Value>, name: &str) -> Result<usize, ParseError> {
    let value = &arguments[name];
    let number = value
        .as_u64()
        .or_else(|| value.as_str().and_then(|s| s.trim().parse().ok()));
    match number.and_then(|n| usize::try_from(n).ok()) {
        Some(n) => Ok(n),
        None => fail(format!("\"{name}\" must be a number.")),
    }
}

/// The hunks of a block; at least one.
fn hunks(block: &str) -> Result<Vec<Hunk>, ParseError> {
    let shape = || {
        ParseError(format!(
            "Write each change as a line {SEARCH_MARK}, the old lines, a line {DIVIDER_MARK}, the new lines, and a line {REPLACE_MARK}."
        ))
    };
    let mut hunks = Vec::new();
    let mut lines = block.split_inclusive('\n');
    while let Some(line) = lines.next() {
        if line.trim_end().is_empty() {
            continue;
        }
        if line.trim_end() != SEARCH_MARK {
            return Err(shape());
        }
        let old = lines_until(&mut lines, DIVIDER_MARK).ok_or_else(shape)?;
        let new = lines_until(&mut lines, REPLACE_MARK).ok_or_else(shape)?;
        if old.is_empty() {
            return fail(format!(
                "Put at least one line that is in the file between {SEARCH_MARK} and {DIVIDER_MARK}."
            ));
        }
        hunks.push(Hunk { old, new });
    }
    if hunks.is_empty() {
        return Err(shape());
    }
    Ok(hunks)
}

fn lines_until<'a>(lines: &mut impl Iterator<Item = &'a str>, mark: &str) -> Option<String> {
    let mut text = String::new();
    for line in lines {
        if line.trim_end() == mark {
            return Some(text);
        }
        text.push_str(line);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(json: &str, rest: &str) -> Result<Action, ParseError> {
        parse(
            CallFormat::Hermes,
            &ToolSet::full(),
            &format!("Look.\n<tool_call>\n{json}\n</tool_call>{rest}"),
        )
    }

    #[test]
    fn code_is_taken_raw_up_to_the_first_fence_that_starts_a_line() {
        let action = call(
            r#"{"name": "edit", "arguments": {"path": "./a.py", "symbol": "f"}}"#,
            "\n```python\ndef f():\n    return \"\\n ``` \"\n```<|im_end|>",
        );
        assert_eq!(
            action.unwrap(),
            Action::Edit {
                path: "a.py".into(),
                change: Change::Symbol {
                    symbol: "f".into(),
                    code: "def f():\n    return \"\\n ``` \"\n".into()
                }
            }
        );
    }

    #[test]
    fn code_that_holds_fences_stands_between_longer_ones_or_in_a_hunk() {
        let write = call(
            r#"{"name": "write", "arguments": {"path": "README.md"}}"#,
            "\n````markdown\nRun:\n```sh\nmake\n```\n````",
        );
        assert_eq!(
            write.unwrap(),
            Action::Write {
                path: "README.md".into(),
                text: "Run:\n```sh\nmake\n```\n".into()
            }
        );
        let hunks = call(
            r#"{"name": "edit", "arguments": {"path": "README.md"}}"#,
            "\n```\n<<<<<<< SEARCH\n```\nmake\n=======\n```sh\nmake all\n>>>>>>> REPLACE\n```",
        );
        assert_eq!(
            hunks.unwrap(),
            Action::Edit {
                path: "README.md".into(),
                change: Change::Hunks(vec![Hunk {
                    old: "```\nmake\n".into(),
                    new: "```sh\nmake all\n".into()
                }])
            }
        );
    }

    #[test]
    fn the_form_follows_from_the_arguments() {
        let view = call(
            r#"{"name": "view", "arguments": {"path": "a.py", "start": 3, "end": "9"}}"#,
            "",
        );
        assert_eq!(
            view.unwrap(),
            Action::View {
                path: "a.py".into(),
                lines: Some((3, 9))
            }
        );
        let hunks = call(
            r#"{"name": "edit", "arguments": {"path": "a.py"}}"#,
            "\n```python\n<<<<<<< SEARCH\na = 1\n=======\na = 2\n>>>>>>> REPLACE\n```",
        );
        assert_eq!(
            hunks.unwrap(),
            Action::Edit {
                path: "a.py".into(),
                change: Change::Hunks(vec![Hunk {
                    old: "a = 1\n".into(),
                    new: "a = 2\n".into()
                }])
            }
        );
        assert_eq!(
            call(r#"{"name": "submit", "arguments": {}}"#, ""),
            Ok(Action::Submit)
        );
    }

    #[test]
    fn every_format_of_a_call_gives_the_same_action() {
        let arguments = [("path", "./a.py"), ("start", "3"), ("end", "9")];
        let code = "\n```python\nx = 1\n```";
        for calls in CallFormat::ALL {
            let text = format!("Look.\n{}{code}", calls.write("edit", &arguments));
            assert_eq!(
                parse(calls, &ToolSet::full(), &text),
                Ok(Action::Edit {
                    path: "a.py".into(),
                    change: Change::Lines {
                        start: 3,
                        end: 9,
                        code: "x = 1\n".into()
                    }
                })
            );
        }
    }

    #[test]
    fn each_mistake_gets_one_sentence() {
        let unread = |text: &str| parse(CallFormat::Hermes, &ToolSet::full(), text);
        let cases = [
            (unread("I think so."), "no tool call"),
            (unread("<tool_call>\n{"), "not closed"),
            (call("{\"name\": ", ""), "not valid JSON"),
            (
                call(r#"{"name": "fix", "arguments": {}}"#, ""),
                "no tool \"fix\"",
            ),
            (
                call(r#"{"name": "view", "arguments": {}}"#, ""),
                "view(path) or view(path, start, end)",
            ),
            (
                call(
                    r#"{"name": "view", "arguments": {"path": "a", "start": 9, "end": 3}}"#,
                    "",
                ),
                "no range",
            ),
            (
                call(
                    r#"{"name": "write", "arguments": {"path": "a.py"}}"#,
                    "\nx = 1",
                ),
                "between ``` fences",
            ),
            (
                call(
                    r#"{"name": "write", "arguments": {"path": "a.py"}}"#,
                    "\n```\nx = 1",
                ),
                "cut off",
            ),
            (
                call(
                    r#"{"name": "edit", "arguments": {"path": "a.py"}}"#,
                    "\n```\nx = 1\n```",
                ),
                "<<<<<<< SEARCH",
            ),
            (
                call(r#"{"name": "search", "arguments": {"text": " "}}"#, ""),
                "\"text\" is empty",
            ),
        ];
        for (result, part) in cases {
            let sentence = result.unwrap_err().0;
            assert!(sentence.contains(part), "{sentence}");
            assert_eq!(sentence.lines().count(), 1);
        }
        let reduced = ToolSet::full().without(ToolName::Run);
        let text =
            "<tool_call>{\"name\": \"run\", \"arguments\": {\"command\": \"ls\"}}</tool_call>";
        assert!(
            parse(CallFormat::Hermes, &reduced, text)
                .unwrap_err()
                .0
                .contains("no tool \"run\" to call now")
        );
    }
}
