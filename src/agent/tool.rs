//! The tools as one table: the prompt's list, the grammar and the parser are
//! all made from it, so that they cannot differ.
use super::call::CallFormat;

/// What an argument is, for the grammar and for the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamKind {
    /// A file that is there.
    ExistingPath,
    /// A file that may be new.
    AnyPath,
    /// A function or class that the file named before it defines.
    Symbol,
    /// A line number, counted from 1.
    Line,
    /// Free text on one line.
    Text,
}

/// One argument of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param {
    pub name: &'static str,
    pub kind: ParamKind,
}

/// What follows a call, raw, in a fenced block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    None,
    /// The code itself.
    Code,
    /// One or more search/replace hunks between conflict markers.
    Hunks,
}

/// One way to call a tool: its arguments, all required, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    pub params: &'static [Param],
    pub block: Block,
    /// What it does, as the model is told.
    pub does: &'static str,
}

/// A tool and its forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tool {
    pub name: &'static str,
    pub forms: &'static [Form],
}

const fn param(name: &'static str, kind: ParamKind) -> Param {
    Param { name, kind }
}

const PATH: Param = param("path", ParamKind::ExistingPath);
const NEW_PATH: Param = param("path", ParamKind::AnyPath);
const START: Param = param("start", ParamKind::Line);
const END: Param = param("end", ParamKind::Line);

const fn form(params: &'static [Param], block: Block, does: &'static str) -> Form {
    Form {
        params,
        block,
        does,
    }
}

/// Every tool there is. A [`ToolSet`] is a choice of these.
const TOOLS: &[Tool] = &[
    Tool {
        name: "view",
        forms: &[
            form(&[PATH], Block::None, "show a file"),
            form(
                &[PATH, START, END],
                Block::None,
                "show lines start to end of a file",
            ),
        ],
    },
    Tool {
        name: "search",
        forms: &[form(
            &[param("text", ParamKind::Text)],
            Block::None,
            "find text in all files",
        )],
    },
    Tool {
        name: "edit",
        forms: &[
            form(
                &[PATH, param("symbol", ParamKind::Symbol)],
                Block::Code,
                "replace a whole function or class by the code",
            ),
            form(
                &[PATH, START, END],
                Block::Code,
                "replace lines start to end by the code",
            ),
            form(
                &[PATH],
                Block::Hunks,
                "replace exact lines, between SEARCH and REPLACE markers",
            ),
        ],
    },
    Tool {
        name: "write",
        forms: &[form(
            &[NEW_PATH],
            Block::Code,
            "write a whole file: a new one, or all of an old one",
        )],
    },
    Tool {
        name: "run",
        forms: &[form(
            &[param("command", ParamKind::Text)],
            Block::None,
            "run a shell command, such as python3 -m pytest -q",
        )],
    },
    Tool {
        name: "submit",
        forms: &[form(&[], Block::None, "hand in the work: the last call")],
    },
];

/// The tools that one call may choose from, with the forms that are open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolSet {
    tools: Vec<(&'static str, Vec<Form>)>,
}

impl ToolSet {
    /// Every tool in every form.
    pub fn full() -> Self {
        Self {
            tools: TOOLS.iter().map(|t| (t.name, t.forms.to_vec())).collect(),
        }
    }

    /// The agent's usual tools: everything but edits by search and replace,
    /// which a small model needs only where functions are very long, and line
    /// numbers, which it invents.
    pub fn standard() -> Self {
        Self::full()
            .without_block(Block::Hunks)
            .without_param(ParamKind::Line)
    }

    /// What a single answer may be: an edit of a whole function, or a whole file.
    pub fn one_turn() -> Self {
        Self::standard().only(&["edit", "write"])
    }

    /// Only the named tools, in the table's order. Names that are not in the
    /// set are passed over.
    #[must_use]
    pub fn only(mut self, names: &[&str]) -> Self {
        self.tools.retain(|(name, _)| names.contains(name));
        self
    }

    /// Without one tool.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.tools.retain(|(n, _)| *n != name);
        self
    }

    /// Without the forms that take such a block.
    #[must_use]
    pub fn without_block(self, block: Block) -> Self {
        self.retain_forms(|form| form.block != block)
    }

    /// Without the forms that take such an argument.
    #[must_use]
    pub fn without_param(self, kind: ParamKind) -> Self {
        self.retain_forms(|form| form.params.iter().all(|p| p.kind != kind))
    }

    fn retain_forms(mut self, keep: impl Fn(&Form) -> bool) -> Self {
        for (_, forms) in &mut self.tools {
            forms.retain(&keep);
        }
        self.tools.retain(|(_, forms)| !forms.is_empty());
        self
    }

    /// Each open tool with its open forms, in the table's order.
    pub fn tools(&self) -> impl Iterator<Item = (&'static str, &[Form])> {
        self.tools.iter().map(|(name, forms)| (*name, &forms[..]))
    }

    /// Names of the open tools.
    pub fn names(&self) -> Vec<&'static str> {
        self.tools.iter().map(|(name, _)| *name).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.tools.is_empty()
    }

    pub fn contains(&self, name: &str) -> bool {
        self.tools.iter().any(|(n, _)| *n == name)
    }

    /// True when an open form takes such an argument.
    pub fn takes(&self, kind: ParamKind) -> bool {
        let mut forms = self.tools.iter().flat_map(|(_, forms)| forms);
        forms.any(|form| form.params.iter().any(|p| p.kind == kind))
    }

    /// True when an open form takes such a block.
    pub fn takes_block(&self, block: Block) -> bool {
        let mut forms = self.tools.iter().flat_map(|(_, forms)| forms);
        forms.any(|form| form.block == block)
    }

    /// Each open tool's name, and the text that starts where the name starts
    /// and ends with its closing delimiter: what exact tool entropy is read
    /// over. The delimiter keeps a name apart from a longer one.
    pub fn tool_names_with_delimiter(&self, calls: CallFormat) -> Vec<(String, String)> {
        let delimiter = calls.layout().name_delimiter;
        self.tools
            .iter()
            .map(|(name, _)| (name.to_string(), format!("{name}{delimiter}")))
            .collect()
    }

    /// The list that the prompt shows, a line a form.
    pub fn describe(&self) -> String {
        let mut lines = String::new();
        for (name, forms) in self.tools() {
            for form in forms {
                let params: Vec<_> = form.params.iter().map(|p| p.name).collect();
                let block = match form.block {
                    Block::None => "",
                    Block::Code | Block::Hunks => " + code block",
                };
                lines += &format!("- {name}({}){block}: {}\n", params.join(", "), form.does);
            }
        }
        lines.pop();
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_begins_another_is_told_apart_by_its_delimiter() {
        for calls in CallFormat::ALL {
            let names = ToolSet::full().tool_names_with_delimiter(calls);
            for (a, a_text) in &names {
                for (b, b_text) in &names {
                    assert!(a == b || !b_text.starts_with(a_text.as_str()));
                }
            }
        }
        let names = ToolSet::full().tool_names_with_delimiter(CallFormat::Hermes);
        assert_eq!(names[0], ("view".into(), "view\",".into()));
    }

    #[test]
    fn a_reduced_set_holds_only_what_was_left_open() {
        let set = ToolSet::one_turn();
        assert_eq!(set.names(), ["edit", "write"]);
        assert!(!set.takes(ParamKind::Line) && !set.takes_block(Block::Hunks));
        assert!(ToolSet::full().takes_block(Block::Hunks));
        assert!(set.without("edit").without("write").is_empty());
    }

    #[test]
    fn the_prompts_list_names_every_form() {
        let list = ToolSet::full().describe();
        assert!(list.contains("- view(path, start, end): "));
        assert!(list.contains("- edit(path, symbol) + code block: "));
        assert!(list.ends_with("- submit(): hand in the work: the last call"));
        assert_eq!(list.lines().count(), 9);
    }
}
