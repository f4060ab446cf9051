//! The tools as one table: the prompt's list, the grammar and the parser are all made
//! from it, so that they cannot differ.
use super::call::CallFormat;
use crate::base::{ToolForm, ToolName};

/// What an argument is, for the grammar and for the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamKind {
    /// A file that is there.
    ExistingPath,
    /// A file that may be new.
    AnyPath,
    /// A folder, `.` for the root.
    Folder,
    /// A function or type that the file named before it defines.
    Symbol,
    /// A line number, counted from 1.
    Line,
    /// A small number, from 0 on.
    Count,
    /// Free text on one line.
    Text,
}

impl ParamKind {
    /// True where a value is a number, which JSON writes without quotes.
    pub(crate) fn is_number(self) -> bool {
        match self {
            Self::Line | Self::Count => true,
            Self::ExistingPath | Self::AnyPath | Self::Folder | Self::Symbol | Self::Text => false,
        }
    }
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

/// How a form is written: its arguments, all required, in this order, and its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    pub params: &'static [Param],
    pub block: Block,
    /// As the model is told.
    pub does: &'static str,
}

const fn param(name: &'static str, kind: ParamKind) -> Param {
    Param { name, kind }
}

const PATH: Param = param("path", ParamKind::ExistingPath);
const START: Param = param("start", ParamKind::Line);
const END: Param = param("end", ParamKind::Line);
const PATTERN: Param = param("pattern", ParamKind::Text);
const FOLDER: Param = param("path", ParamKind::Folder);
const TEXT: Param = param("text", ParamKind::Text);
const GLOB: Param = param("glob", ParamKind::Text);
const CONTEXT: Param = param("context", ParamKind::Count);
const SYMBOL: Param = param("symbol", ParamKind::Symbol);
const NEW_PATH: Param = param("path", ParamKind::AnyPath);
const COMMAND: Param = param("command", ParamKind::Text);

/// How each form is written.
pub const fn form(form: ToolForm) -> Form {
    let (params, block, does): (&[Param], _, _) = match form {
        ToolForm::List => (
            &[FOLDER],
            Block::None,
            "show the files below a folder; \".\" is the repository",
        ),
        ToolForm::View => (&[PATH], Block::None, "show a file"),
        ToolForm::ViewLines => (
            &[PATH, START, END],
            Block::None,
            "show lines start to end of a file",
        ),
        ToolForm::ViewSymbol => (
            &[PATH, SYMBOL],
            Block::None,
            "show a whole function or class",
        ),
        ToolForm::SearchText => (&[TEXT], Block::None, "find text in all files"),
        ToolForm::SearchPattern => (
            &[PATTERN],
            Block::None,
            "find lines by a regular expression in all files",
        ),
        ToolForm::SearchFiles => (
            &[PATTERN, GLOB, CONTEXT],
            Block::None,
            "the same in the files that a glob such as src/**/*.py matches, with so many lines around each",
        ),
        ToolForm::EditSymbol => (
            &[PATH, SYMBOL],
            Block::Code,
            "replace a whole function or class by the code",
        ),
        ToolForm::EditLines => (
            &[PATH, START, END],
            Block::Code,
            "replace lines start to end by the code",
        ),
        ToolForm::EditHunks => (
            &[PATH],
            Block::Hunks,
            "replace exact lines, between SEARCH and REPLACE markers",
        ),
        ToolForm::Write => (
            &[NEW_PATH],
            Block::Code,
            "write a whole file: a new one, or all of an old one",
        ),
        ToolForm::Run => (&[COMMAND], Block::None, "run a shell command"),
        ToolForm::Undo => (&[], Block::None, "take the last change of files back"),
        ToolForm::Submit => (&[], Block::None, "hand in the work: the last call"),
    };
    Form {
        params,
        block,
        does,
    }
}

/// The tools that one call may choose from, as the forms that are open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolSet {
    forms: Vec<ToolForm>,
}

impl ToolSet {
    /// These forms, in this order.
    pub fn of(forms: &[ToolForm]) -> Self {
        Self {
            forms: forms.to_vec(),
        }
    }

    /// Every tool in every form.
    pub fn full() -> Self {
        Self::of(ToolForm::ALL)
    }

    /// Only the tools that `keep` names.
    #[must_use]
    pub fn only(mut self, keep: impl Fn(ToolName) -> bool) -> Self {
        self.forms.retain(|form| keep(form.tool()));
        self
    }

    /// Only the forms that `keep` names.
    #[must_use]
    pub fn only_forms(mut self, keep: impl Fn(ToolForm) -> bool) -> Self {
        self.forms.retain(|&form| keep(form));
        self
    }

    /// Without one tool.
    #[must_use]
    pub fn without(self, name: ToolName) -> Self {
        self.only(|other| other != name)
    }

    /// Each open tool with its open forms, in the order of their first forms.
    pub fn tools(&self) -> impl Iterator<Item = (ToolName, Vec<ToolForm>)> {
        self.names().into_iter().map(|name| {
            let own = self.forms.iter().filter(|form| form.tool() == name);
            (name, own.copied().collect())
        })
    }

    /// The open forms.
    pub fn forms(&self) -> &[ToolForm] {
        &self.forms
    }

    /// Names of the open tools, each once.
    pub fn names(&self) -> Vec<ToolName> {
        let mut names = Vec::new();
        for form in &self.forms {
            if !names.contains(&form.tool()) {
                names.push(form.tool());
            }
        }
        names
    }

    pub fn is_empty(&self) -> bool {
        self.forms.is_empty()
    }

    pub fn contains(&self, name: ToolName) -> bool {
        self.forms.iter().any(|form| form.tool() == name)
    }

    pub fn has(&self, form: ToolForm) -> bool {
        self.forms.contains(&form)
    }

    /// Each open tool's name, and the text that starts where the name starts
    /// and ends with its closing delimiter: what exact tool entropy is read
    /// over. The delimiter keeps a name apart from a longer one.
    pub fn tool_names_with_delimiter(&self, calls: CallFormat) -> Vec<(String, String)> {
        let delimiter = calls.layout().name_delimiter;
        let names = self.names().into_iter().map(ToolName::name);
        names
            .map(|name| (name.to_string(), format!("{name}{delimiter}")))
            .collect()
    }

    /// The list that the prompt shows, a line a form. `test_cmd` runs the tests.
    pub fn describe(&self, test_cmd: &str) -> String {
        let line = |&open: &ToolForm| {
            let Form {
                params,
                block,
                does,
            } = form(open);
            let params: Vec<_> = params.iter().map(|p| p.name).collect();
            let block = match block {
                Block::None => "",
                Block::Code | Block::Hunks => " + code block",
            };
            let such = match open {
                ToolForm::Run if !test_cmd.is_empty() => format!(", such as {test_cmd}"),
                _ => String::new(),
            };
            let name = open.tool().name();
            format!("- {name}({}){block}: {does}{such}", params.join(", "))
        };
        self.forms.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::AgentProfile;

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
        assert_eq!(names[1], ("view".into(), "view\",".into()));
    }

    #[test]
    fn a_reduced_set_holds_only_what_was_left_open() {
        let set = ToolSet::of(&AgentProfile::small().tools).only(ToolName::changes_files);
        assert_eq!(set.names(), [ToolName::Edit, ToolName::Write]);
        assert!(set.has(ToolForm::EditSymbol) && !set.has(ToolForm::EditLines));
        let none = set.without(ToolName::Edit).without(ToolName::Write);
        assert!(none.is_empty());
    }

    #[test]
    fn forms_of_one_tool_are_told_apart_by_their_arguments() {
        for (tool, forms) in ToolSet::full().tools() {
            let names = |open: &ToolForm| -> Vec<&str> {
                let mut names: Vec<_> = form(*open).params.iter().map(|p| p.name).collect();
                names.sort_unstable();
                names
            };
            let mut all: Vec<_> = forms.iter().map(names).collect();
            all.sort();
            all.dedup();
            assert_eq!(all.len(), forms.len(), "{tool:?}");
        }
    }

    #[test]
    fn the_prompts_list_names_every_form() {
        let list = ToolSet::full().describe("go test ./...");
        assert!(list.contains("- view(path, start, end): "));
        assert!(list.contains("- edit(path, symbol) + code block: "));
        assert!(list.contains("- run(command): run a shell command, such as go test ./...\n"));
        assert!(list.ends_with("- submit(): hand in the work: the last call"));
        assert_eq!(list.lines().count(), ToolForm::ALL.len());
    }
}
