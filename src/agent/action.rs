//! An action, read from what the model wrote.
use crate::base::ToolName;
use serde_json::json;

/// What a model asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The files below a folder; `.` is the root.
    List {
        path: String,
    },
    View {
        path: String,
        /// First and last line, from 1, both shown.
        lines: Option<(usize, usize)>,
    },
    /// A whole function or class: `name`, or `Class.method`.
    ViewSymbol {
        path: String,
        symbol: String,
    },
    Search(Query),
    Edit {
        path: String,
        change: Change,
    },
    Write {
        path: String,
        text: String,
    },
    Run {
        command: String,
    },
    /// The workspace as it was before its last change.
    Undo,
    Submit,
}

/// Lines to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    Text(String),
    /// A regular expression.
    Pattern(String),
    /// The same in the files that a glob matches, with lines around each hit.
    Files {
        pattern: String,
        glob: String,
        context: usize,
    },
}

/// How an edit names its place, with what goes there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A whole function or class: `name`, or `Class.method`.
    Symbol { symbol: String, code: String },
    /// Lines from 1, both ends replaced.
    Lines {
        start: usize,
        end: usize,
        code: String,
    },
    /// Exact lines, each hunk found on its own.
    Hunks(Vec<Hunk>),
}

/// Lines to find and what to put in their place. Either may be empty, not both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hunk {
    pub old: String,
    pub new: String,
}

impl Action {
    /// The tool that was called.
    pub fn tool(&self) -> ToolName {
        match self {
            Self::List { .. } => ToolName::List,
            Self::View { .. } | Self::ViewSymbol { .. } => ToolName::View,
            Self::Search(_) => ToolName::Search,
            Self::Edit { .. } => ToolName::Edit,
            Self::Write { .. } => ToolName::Write,
            Self::Run { .. } => ToolName::Run,
            Self::Undo => ToolName::Undo,
            Self::Submit => ToolName::Submit,
        }
    }

    /// The action written one way, whatever format its call has: two actions are the same if and only if
    /// their canonical forms are equal strings. Keys stand in the table's
    /// order; a line's trailing whitespace and blank lines at the end of a
    /// block do not count.
    pub fn canonical(&self) -> String {
        let (arguments, blocks) = match self {
            Self::View { path, lines: None } => (json!({ "path": path }), vec![]),
            Self::View {
                path,
                lines: Some((start, end)),
            } => (json!({ "path": path, "start": start, "end": end }), vec![]),
            Self::ViewSymbol { path, symbol } => {
                (json!({ "path": path, "symbol": symbol }), vec![])
            }
            Self::List { path } => (json!({ "path": path }), vec![]),
            Self::Search(Query::Text(text)) => (json!({ "text": text }), vec![]),
            Self::Search(Query::Pattern(pattern)) => (json!({ "pattern": pattern }), vec![]),
            Self::Search(Query::Files {
                pattern,
                glob,
                context,
            }) => (
                json!({ "pattern": pattern, "glob": glob, "context": context }),
                vec![],
            ),
            Self::Edit { path, change } => match change {
                Change::Symbol { symbol, code } => {
                    (json!({ "path": path, "symbol": symbol }), vec![code])
                }
                Change::Lines { start, end, code } => (
                    json!({ "path": path, "start": start, "end": end }),
                    vec![code],
                ),
                Change::Hunks(hunks) => (
                    json!({ "path": path }),
                    hunks.iter().flat_map(|h| [&h.old, &h.new]).collect(),
                ),
            },
            Self::Write { path, text } => (json!({ "path": path }), vec![text]),
            Self::Run { command } => (json!({ "command": command.trim() }), vec![]),
            Self::Undo | Self::Submit => (json!({}), vec![]),
        };
        let name = self.tool().name();
        let mut text = format!("{{\"name\": \"{name}\", \"arguments\": {arguments}}}");
        for block in blocks {
            // A length, not a fence: no block's content can forge another's.
            let block = normal_code(block);
            text += &format!("\n#{}\n{block}", block.len());
        }
        text
    }
}

/// Code without trailing whitespace on its lines, without blank lines at its
/// end, with one final newline; empty if nothing is left.
pub(crate) fn normal_code(code: &str) -> String {
    let mut out = String::with_capacity(code.len() + 1);
    for line in code.lines() {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    let kept = out.trim_end_matches('\n').len();
    out.truncate(kept);
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(code: &str) -> Action {
        Action::Edit {
            path: "a.py".into(),
            change: Change::Symbol {
                symbol: "f".into(),
                code: code.into(),
            },
        }
    }

    #[test]
    fn whitespace_that_means_nothing_does_not_make_another_action() {
        let a = edit("def f():\n    return 1\n");
        assert_eq!(
            a.canonical(),
            edit("def f():  \n    return 1\n\n").canonical()
        );
        assert_ne!(a.canonical(), edit("def f():\n    return 2\n").canonical());
        assert!(a.canonical().starts_with(
            "{\"name\": \"edit\", \"arguments\": {\"path\":\"a.py\",\"symbol\":\"f\"}}"
        ));
    }

    #[test]
    fn a_block_cannot_pass_for_two() {
        let hunks = |list: &[(&str, &str)]| {
            Action::Edit {
                path: "a.py".into(),
                change: Change::Hunks(
                    list.iter()
                        .map(|(old, new)| Hunk {
                            old: old.to_string(),
                            new: new.to_string(),
                        })
                        .collect(),
                ),
            }
            .canonical()
        };
        assert_ne!(hunks(&[("a\n#2\nb", "c")]), hunks(&[("a", "b"), ("c", "")]));
    }
}
