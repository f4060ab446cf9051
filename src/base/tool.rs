//! The agent's tools by name, and the forms in which they are called.
use super::names::named;

named! {
    /// A tool, as the model calls it.
    ToolName {
        List = "list",
        View = "view",
        Search = "search",
        Edit = "edit",
        Write = "write",
        Run = "run",
        Undo = "undo",
        Submit = "submit",
    }
}

impl ToolName {
    /// True for the tools whose purpose is to change files.
    pub const fn changes_files(self) -> bool {
        match self {
            Self::Edit | Self::Write => true,
            Self::List | Self::View | Self::Search | Self::Run | Self::Undo | Self::Submit => false,
        }
    }
}

named! {
    /// One way to call a tool: a profile is a choice of these.
    ToolForm {
        /// The files below a folder.
        List = "list",
        /// A whole file.
        View = "view",
        /// A range of a file's lines.
        ViewLines = "view_lines",
        /// A whole function or type.
        ViewSymbol = "view_symbol",
        /// Lines that hold a text, in all files.
        SearchText = "search_text",
        /// Lines that a regular expression matches, in all files.
        SearchPattern = "search_pattern",
        /// The same in the files that a glob matches, with lines around each.
        SearchFiles = "search_files",
        /// A whole function or type.
        EditSymbol = "edit_symbol",
        /// A range of lines.
        EditLines = "edit_lines",
        /// Exact lines, found by their text.
        EditHunks = "edit_hunks",
        /// A whole file.
        Write = "write",
        /// A shell command.
        Run = "run",
        /// The last change of the workspace, taken back.
        Undo = "undo",
        /// The end.
        Submit = "submit",
    }
}

impl ToolForm {
    /// The tool that it calls.
    pub const fn tool(self) -> ToolName {
        match self {
            Self::List => ToolName::List,
            Self::View | Self::ViewLines | Self::ViewSymbol => ToolName::View,
            Self::SearchText | Self::SearchPattern | Self::SearchFiles => ToolName::Search,
            Self::EditSymbol | Self::EditLines | Self::EditHunks => ToolName::Edit,
            Self::Write => ToolName::Write,
            Self::Run => ToolName::Run,
            Self::Undo => ToolName::Undo,
            Self::Submit => ToolName::Submit,
        }
    }
}
