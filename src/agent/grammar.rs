//! The grammar that holds a model to calls that can be carried out.
//!
//! Besides the tools' shape it knows the repository: the paths, functions and
//! lines that exist are the only ones that can be written where a call names
//! one, so a small model cannot invent them.
use super::call::{CallFormat, Piece};
use super::parse::{DIVIDER_MARK, FENCE, LONG_FENCE, REPLACE_MARK, SEARCH_MARK};
use super::reasoning::{REASONING_CLOSING, REASONING_OPENING};
use super::tool::{Block, Form, ParamKind, ToolSet, form};
use crate::base::{AgentLimits, LimitHit, Location, Thought};
use crate::engine::Vocabulary;
use crate::index::RepoView;
use crate::lang::{self, Symbol};
use std::collections::BTreeSet;

/// What a grammar knows of one function or class.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SymbolFacts {
    /// `name`, or `Class.method`.
    pub name: String,
    /// How the code that replaces it has to begin (`def name(`); empty for what
    /// may begin otherwise: a class, a method, anything with decorators.
    pub opening: String,
}

/// What a grammar knows of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFacts {
    pub path: String,
    /// Functions and classes that can be named from outside.
    pub symbols: Vec<SymbolFacts>,
    /// Its lines without line ends; empty for a file that is too long.
    pub lines: Vec<String>,
}

/// What a grammar knows of the repository and the model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrammarContext {
    /// Files that can be viewed and edited; empty when there are too many.
    pub files: Vec<FileFacts>,
    /// False when there are too many functions and types to list: any can be written.
    pub lists_symbols: bool,
    /// The files are locations: those with functions are not named as a whole.
    pub are_locations: bool,
    /// Characters of a search text or a command.
    pub text_chars_max: usize,
    /// Limits that keep it from knowing more.
    pub cuts: Vec<LimitHit>,
    /// How the model writes a call.
    pub calls: CallFormat,
    /// Those of the format's markers that the model has as one special token
    /// each: `<tool_call>`.
    pub markers: Vec<&'static str>,
    /// Tokens that it may reason with before its answer; 0: none.
    pub reasoning_tokens_max: usize,
}

impl GrammarContext {
    /// True while some function or class can be named.
    pub fn has_symbols(&self) -> bool {
        self.files.iter().any(|file| !file.symbols.is_empty())
    }

    /// True while some file's lines are listed.
    fn has_lines(&self) -> bool {
        self.files.iter().any(|file| !file.lines.is_empty())
    }

    /// A string value as the model's format spells it, a Lark literal.
    fn spelled(&self, value: &str) -> String {
        match self.calls.layout().is_json {
            true => quoted(&json_body(value)),
            false => quoted(value),
        }
    }

    /// The same for a model that reasons first, with this many tokens at most: it
    /// must have the reasoning's marks as one special token each.
    #[must_use]
    pub fn with_reasoning(mut self, tokens_max: usize) -> Self {
        self.reasoning_tokens_max = tokens_max;
        self
    }

    /// The same where only `locations` can be named.
    #[must_use]
    pub fn at_locations(self, locations: &[Location]) -> Self {
        let mut files: Vec<FileFacts> = Vec::new();
        for Location { path, symbol } in locations {
            let known = files.iter().position(|file| file.path == *path);
            let at = known.unwrap_or_else(|| {
                files.push(FileFacts {
                    path: path.clone(),
                    symbols: Vec::new(),
                    lines: Vec::new(),
                });
                files.len() - 1
            });
            files[at]
                .symbols
                .extend(symbol.iter().map(|name| SymbolFacts {
                    name: name.clone(),
                    opening: String::new(),
                }));
        }
        Self {
            files,
            lists_symbols: true,
            are_locations: true,
            ..self
        }
    }

    /// The same without some functions and classes, given as `(path, name)`:
    /// what is left is where an edit may go.
    #[must_use]
    pub fn without_symbols(mut self, closed: &[(String, String)]) -> Self {
        for file in &mut self.files {
            let is_closed = |s: &SymbolFacts| {
                closed
                    .iter()
                    .any(|(p, name)| *p == file.path && *name == s.name)
            };
            file.symbols.retain(|symbol| !is_closed(symbol));
        }
        self
    }

    /// What `view`, the workspace as it now stands, allows to a model that
    /// writes its calls as `calls`.
    pub fn of(
        view: &RepoView,
        vocabulary: &dyn Vocabulary,
        calls: CallFormat,
        limits: &AgentLimits,
    ) -> Self {
        let text_files = || view.files.iter().filter(|f| f.text.is_some());
        let (n_files, files_max) = (text_files().count(), limits.grammar_files_max);
        let mut cuts = Vec::new();
        if n_files > files_max {
            cuts.push(LimitHit::new("grammar_files_max", files_max, n_files));
        }
        let listed = text_files().take(if n_files > files_max { 0 } else { n_files });
        let mut files: Vec<FileFacts> = listed
            .map(|file| {
                let text = file.text.as_deref().unwrap_or_default();
                let lines: Vec<String> = text.lines().map(String::from).collect();
                let mut names = BTreeSet::new();
                // Existing tests are not the agent's to change.
                if file.is_source() {
                    let outer = file.symbols().into_iter().filter(|s| !s.is_local);
                    names.extend(outer.map(|s| SymbolFacts {
                        opening: opening(&s, &lines),
                        name: s.qualified,
                    }));
                }
                FileFacts {
                    path: file.path.clone(),
                    symbols: names.into_iter().collect(),
                    lines: match lines.len() <= limits.grammar_lines_max
                        && lines.iter().all(|line| is_plain(line))
                    {
                        true => lines,
                        false => Vec::new(),
                    },
                }
            })
            .filter(|file| is_plain(&file.path))
            .collect();
        let n_symbols: usize = files.iter().map(|f| f.symbols.len()).sum();
        let lists_symbols = n_files <= files_max && n_symbols <= limits.grammar_symbols_max;
        if n_symbols > limits.grammar_symbols_max {
            let max = limits.grammar_symbols_max;
            cuts.push(LimitHit::new("grammar_symbols_max", max, n_symbols));
            files.iter_mut().for_each(|file| file.symbols.clear());
        }
        let mut markers = calls.markers();
        markers.retain(|text| vocabulary.encode_special(text).len() == 1);
        Self {
            files,
            lists_symbols,
            are_locations: false,
            text_chars_max: limits.text_chars_max,
            cuts,
            calls,
            markers,
            reasoning_tokens_max: 0,
        }
    }
}

/// True for text that a grammar's string can spell and that no marker hides in.
pub(super) fn is_plain(line: &str) -> bool {
    !line.contains('\u{7f}') && line != DIVIDER_MARK && line != REPLACE_MARK
}

/// The grammar of one answer, in llguidance's Lark: a line of thought where it
/// may be, then a call of one of `tools`, then its code block. A thought that is
/// [required](Thought::Required) names a function, and an edit by name that one.
/// Before all of it, a thinking model's reasoning.
///
/// A code block ends with the first line that starts with a fence. Forms for
/// which the context leaves nothing to name are left out.
pub fn lark(tools: &ToolSet, thought: &Thought, context: &GrammarContext) -> String {
    let mut writer = Writer {
        context,
        names_place: matches!(thought, Thought::Required { .. }),
        rules: String::new(),
        forms: Vec::new(),
        placed: Vec::new(),
    };
    for open in tools.forms() {
        writer.form(open.tool().name(), &form(*open));
    }
    writer.finish(thought)
}

struct Writer<'a> {
    context: &'a GrammarContext,
    /// The thought says where, and an edit by name holds to it.
    names_place: bool,
    rules: String,
    /// Right-hand sides of the calls, from the tool's name on.
    forms: Vec<String>,
    /// Of calls that edit the function that the thought named: how the thought
    /// names it, and the call.
    placed: Vec<(String, String)>,
}

impl Writer<'_> {
    /// The alternatives of one form: one for each file where what follows the
    /// path depends on the file, else one.
    fn form(&mut self, name: &str, form: &Form) {
        let takes = |kind: ParamKind| form.params.iter().any(|p| p.kind == kind);
        let needs_symbol = takes(ParamKind::Symbol);
        let depends = match needs_symbol {
            true => self.context.lists_symbols,
            false if self.context.are_locations => true,
            // Lines of the file, or its language's fence, follow.
            false => form.block == Block::Hunks && self.context.has_lines(),
        };
        let names_file = takes(ParamKind::ExistingPath);
        if !(depends && names_file) || self.context.files.is_empty() {
            let alternative = self.alternative(name, form, None);
            self.forms.push(alternative);
            return;
        }
        for index in 0..self.context.files.len() {
            let file = &self.context.files[index];
            if !needs_symbol && self.context.are_locations && !file.symbols.is_empty() {
                continue;
            }
            if !needs_symbol {
                let alternative = self.alternative(name, form, Some((index, &[])));
                self.forms.push(alternative);
            } else if self.names_place && form.block == Block::Code {
                for symbol in &file.symbols {
                    let place = format!(" `{}` in {}", symbol.name, file.path);
                    let one = std::slice::from_ref(symbol);
                    let call = self.alternative(name, form, Some((index, one)));
                    self.placed.push((place, call));
                }
            } else if !file.symbols.is_empty() {
                let alternative = self.alternative(name, form, Some((index, &file.symbols)));
                self.forms.push(alternative);
            }
        }
    }

    /// One form's call, of one file and the `symbols` in it that it may name.
    fn alternative(&self, name: &str, form: &Form, of: Option<(usize, &[SymbolFacts])>) -> String {
        let file = of.map(|(file, _)| file);
        let symbols = of.map_or(&[][..], |(_, symbols)| symbols);
        let layout = self.context.calls.layout();
        let mut call = self.right_hand_side();
        call.text(name);
        call.text(layout.name_delimiter);
        call.pieces(layout.arguments_opening);
        for (index, param) in form.params.iter().enumerate() {
            if index > 0 {
                call.text(layout.separator);
            }
            call.pieces(layout.key_opening);
            call.text(param.name);
            call.pieces(layout.key_closing);
            let quote = match layout.is_json && !param.kind.is_number() {
                true => "\"",
                false => "",
            };
            call.text(quote);
            if param.kind == ParamKind::Symbol && form.block == Block::Code && file.is_some() {
                call.rule(&self.symbol_tails(quote, file, symbols));
                return call.finish();
            }
            call.rule(&self.value(param.kind, file, symbols));
            call.text(quote);
            call.pieces(layout.value_closing);
        }
        call.pieces(layout.closing);
        if let Some(block) = self.block(form.block, file) {
            call.rule(&block);
        }
        call.finish()
    }

    /// From a symbol's name, the call's last argument, to the end of the code
    /// that replaces it, for each of a file's symbols. The code begins as the
    /// symbol does, so that a small model cannot name one function and write
    /// another.
    fn symbol_tails(&self, quote: &str, file: Option<usize>, symbols: &[SymbolFacts]) -> String {
        let layout = self.context.calls.layout();
        let label = self.fence_label(file);
        let fence = quoted(&format!("\n```{label}\n"));
        let tail = |symbol: &SymbolFacts| {
            let mut tail = self.right_hand_side();
            tail.text(&symbol.name);
            tail.text(quote);
            tail.pieces(layout.value_closing);
            tail.pieces(layout.closing);
            match symbol.opening.is_empty() {
                true => tail.rule(&fence),
                false => {
                    tail.text(&format!("\n```{label}\n{}", symbol.opening));
                }
            }
            tail.rule("code");
            tail.finish()
        };
        let tails: Vec<String> = symbols.iter().map(tail).collect();
        format!("({})", tails.join("\n      | "))
    }

    /// The label of a block of a file's code; empty where any will do.
    fn fence_label(&self, file: Option<usize>) -> &'static str {
        file.map_or("", |at| lang::of_path(&self.context.files[at].path).fence())
    }

    fn right_hand_side(&self) -> RightHandSide<'_> {
        RightHandSide {
            markers: &self.context.markers,
            ..RightHandSide::default()
        }
    }

    fn value(&self, kind: ParamKind, file: Option<usize>, symbols: &[SymbolFacts]) -> String {
        match (kind, file) {
            (ParamKind::ExistingPath, Some(at)) => {
                self.context.spelled(&self.context.files[at].path)
            }
            (ParamKind::ExistingPath, None) if !self.context.files.is_empty() => "PATH".into(),
            (ParamKind::ExistingPath, None) => "FILE_PATH".into(),
            (ParamKind::AnyPath, _) => "ANY_PATH".into(),
            (ParamKind::Folder, _) => "FOLDER".into(),
            (ParamKind::Count, _) => "COUNT".into(),
            (ParamKind::Symbol, Some(_)) => {
                let names = symbols.iter().map(|symbol| quoted(&symbol.name));
                let names: Vec<String> = names.collect();
                format!("({})", names.join(" | "))
            }
            (ParamKind::Symbol, None) => "SYMBOL".into(),
            (ParamKind::Line, _) => "LINE".into(),
            (ParamKind::Text, _) => "TEXT".into(),
        }
    }

    /// The rule behind a call: its block, if it has one.
    fn block(&self, block: Block, file: Option<usize>) -> Option<String> {
        let fence = match self.fence_label(file) {
            "" => "FENCE".to_string(),
            label => quoted(&format!("\n```{label}\n")),
        };
        match block {
            Block::None => None,
            Block::Code => Some("(FENCE code | LONG_FENCE long_code)".to_owned()),
            Block::Hunks => {
                let divider = quoted(&format!("{DIVIDER_MARK}\n"));
                let old = match file {
                    Some(at) if !self.context.files[at].lines.is_empty() => {
                        format!("OLD_{at} {divider}")
                    }
                    _ => "old".into(),
                };
                let search = quoted(&format!("{SEARCH_MARK}\n"));
                let hunk = format!("({search} {old} new)+");
                Some(format!("{fence} {hunk} {}", quoted(FENCE)))
            }
        }
    }

    fn finish(mut self, thought: &Thought) -> String {
        let layout = self.context.calls.layout();
        let mut opening = self.right_hand_side();
        opening.pieces(layout.opening);
        let opening = opening.finish();
        let (before, line_chars_max) = match thought {
            Thought::None => (String::new(), 0),
            Thought::Optional { chars_max } => ("THOUGHT? ".into(), *chars_max),
            Thought::Free { .. } => ("FREE? ".into(), 0),
            Thought::Required { opening, chars_max } => {
                (format!("{} THOUGHT ", quoted(opening)), *chars_max)
            }
        };
        let n_reasoning = self.context.reasoning_tokens_max;
        let reasoning = if n_reasoning > 0 { "reasoning " } else { "" };
        let mut text = if self.placed.is_empty() {
            format!("start: {reasoning}{before}{opening} tool\n")
        } else {
            let other = if self.forms.is_empty() { "" } else { " | tool" };
            let placed = self
                .placed
                .iter()
                .map(|(place, call)| format!("{} REST {opening} ({call}{other})", quoted(place)));
            let placed: Vec<String> = placed.collect();
            let Thought::Required { opening, .. } = thought else {
                unreachable!("only such a thought names a place")
            };
            let placed = placed.join("\n    | ");
            format!("start: {reasoning}{} ({placed})\n", quoted(opening))
        };
        if !self.forms.is_empty() || self.placed.is_empty() {
            text += &format!("tool: {}\n", self.forms.join("\n    | "));
        }
        let placed = self.placed.iter().map(|(_, call)| call.as_str());
        let used: String = self
            .forms
            .iter()
            .map(String::as_str)
            .chain(placed)
            .collect();
        let uses = |name: &str| used.split(|c: char| !is_name(c)).any(|word| word == name);
        let mut rule = |name: &str, body: String| {
            if uses(name) {
                self.rules += &format!("{name}: {body}\n");
            }
        };
        let files = &self.context.files;
        let paths: Vec<String> = files
            .iter()
            .map(|f| self.context.spelled(&f.path))
            .collect();
        rule("PATH", paths.join(" | "));
        rule("INDEX", "/[0-9]{1,4}/".into());
        rule(
            "ANY_PATH",
            // No name, and not too many of them, is longer than a file system takes.
            "/[A-Za-z0-9_][A-Za-z0-9_.\\-]{0,99}(\\/[A-Za-z0-9_][A-Za-z0-9_.\\-]{0,99}){0,19}/"
                .into(),
        );
        rule(
            "SYMBOL",
            "/[A-Za-z_][A-Za-z0-9_]*(\\.[A-Za-z_][A-Za-z0-9_]*)*/".into(),
        );
        rule("LINE", "/[1-9][0-9]{0,5}/".into());
        rule("COUNT", "/0|[1-9][0-9]{0,2}/".into());
        // Of a repository too large to list: any name that a file can have.
        let (first, more) = match layout.is_json {
            true => ("[^ \"\\\\\\x00-\\x1F\\x7F]", "[^\"\\\\\\x00-\\x1F\\x7F]"),
            false => ("[^ <\\x00-\\x1F\\x7F]", "[^<\\x00-\\x1F\\x7F]"),
        };
        let chars_max = PATH_CHARS_MAX - 1;
        rule("FILE_PATH", format!("/{first}{more}{{0,{chars_max}}}/"));
        rule("FOLDER", format!("/{first}{more}{{0,{chars_max}}}/"));
        // Raw text ends where a closing tag could begin.
        let (first, more) = match layout.is_json {
            true => (
                "([^ \"\\\\\\x00-\\x1F\\x7F]|\\\\[\"\\\\])",
                "([^\"\\\\\\x00-\\x1F\\x7F]|\\\\[\"\\\\nt])",
            ),
            false => (
                "([^ <\\x00-\\x1F\\x7F]|<[^<\\/\\x00-\\x1F\\x7F])",
                "([^<\\x00-\\x1F\\x7F]|<[^<\\/\\x00-\\x1F\\x7F])",
            ),
        };
        rule(
            "TEXT",
            format!(
                "/{first}{more}{{0,{}}}/",
                self.context.text_chars_max.max(1) - 1
            ),
        );
        rule("FENCE", format!("/\\n{FENCE}[a-z]{{0,12}}\\n/"));
        rule("LONG_FENCE", format!("/\\n{LONG_FENCE}[a-z]{{0,12}}\\n/"));
        // Never a fence at once: that would be an empty block. No line begins
        // with a backtick: a model whose tokens cut the closing fence in two
        // would otherwise be led past its end.
        if uses("code") {
            self.rules += "code: /[^`\\n][^\\n]*\\n([^`\\n][^\\n]*\\n|\\n)*```/\n";
        }
        if uses("long_code") {
            // The same, with lines that begin with up to three backticks.
            let line = "`{0,3}[^`\\n][^\\n]*\\n";
            self.rules += &format!("long_code: /{line}({line}|`{{0,3}}\\n)*{LONG_FENCE}/\n");
        }
        if uses("old") {
            // A first line that begins the divider would be it.
            self.rules += &format!("old[lazy]: /([^=\\n](.|\\n)*)?\\n{DIVIDER_MARK}\\n/\n");
        }
        if uses("new") {
            self.rules += &format!("new[lazy]: /((.|\\n)*\\n)?{REPLACE_MARK}\\n/\n");
        }
        let mut rule = |name: &str, body: String| {
            if uses(name) {
                self.rules += &format!("{name}: {body}\n");
            }
        };
        for (index, file) in files.iter().enumerate() {
            let chunks: Vec<String> = file.lines.iter().map(|line| format!("{line}\n")).collect();
            let chunks = serde_json::json!({ "substring_chunks": chunks });
            rule(
                &format!("OLD_{index}"),
                format!("%regex {chunks} & /(.|\\n)+/"),
            );
        }
        text += &self.rules;
        if n_reasoning > 0 {
            text += &format!(
                "reasoning: {REASONING_OPENING} thinking {REASONING_CLOSING} /\\n{{1,2}}/\n\
                 thinking[max_tokens={n_reasoning}]: /(.|\\n)*/\n"
            );
        }
        // Prose: what looks like a call or data has its place behind it.
        const PROSE: &str = "[^<{}\\[\\]|\\n]";
        if let Thought::Free { chars_max } = thought {
            // A marker is one token, which no text can hold; spelled out it begins with `<`.
            let has_marker = self
                .context
                .markers
                .contains(&self.context.calls.first_marker());
            let any = if has_marker { "(.|\\n)" } else { "[^<]" };
            text += &format!("FREE: /[^`<\\s]{any}{{0,{}}}\\n/\n", chars_max.max(&2) - 2);
        } else if !self.placed.is_empty() {
            text += &format!("REST: / {PROSE}{{1,{}}}\\n/\n", line_chars_max.max(1));
        } else if !before.is_empty() {
            // A line that begins with a fence would be code without a call.
            let more = line_chars_max.saturating_sub(1).max(1);
            text += &format!("THOUGHT: / ?[^`<\\s]{PROSE}{{0,{more}}}\\n/\n");
        }
        text
    }
}

/// A rule's right-hand side, put together from what may be written one after
/// the other.
#[derive(Default)]
struct RightHandSide<'a> {
    /// Texts that are one special token each.
    markers: &'a [&'static str],
    parts: Vec<String>,
    /// Text that is not in `parts` yet.
    literal: String,
}

impl RightHandSide<'_> {
    fn text(&mut self, text: &str) {
        self.literal += text;
    }

    fn pieces(&mut self, pieces: &[Piece]) {
        for piece in pieces {
            match piece {
                Piece::Marker(marker) if self.markers.contains(marker) => self.rule(marker),
                Piece::Marker(text) | Piece::Text(text) => self.text(text),
                Piece::Index => self.rule("INDEX"),
            }
        }
    }

    /// A rule's name, a group, or a special token.
    fn rule(&mut self, rule: &str) {
        self.close_literal();
        self.parts.push(rule.to_owned());
    }

    fn close_literal(&mut self) {
        if !self.literal.is_empty() {
            self.parts.push(quoted(&std::mem::take(&mut self.literal)));
        }
    }

    fn finish(mut self) -> String {
        self.close_literal();
        self.parts.join(" ")
    }
}

/// `def name(` for a plain function at the margin with nothing before it, else nothing.
fn opening(symbol: &Symbol, lines: &[String]) -> String {
    let plain =
        !symbol.is_type() && symbol.indent.is_empty() && symbol.lines.start == symbol.header;
    let header = lines.get(symbol.header).map_or("", |line| line.as_str());
    let end = header.find('(').filter(|_| plain);
    end.map_or(String::new(), |end| header[..=end].to_owned())
}

/// Characters of a path: what most file systems allow.
const PATH_CHARS_MAX: usize = 255;

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// A Lark string literal.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("strings serialise")
}

/// Text as it stands within a JSON string.
fn json_body(text: &str) -> String {
    let quoted = quoted(text);
    quoted[1..quoted.len() - 1].to_string()
}

#[cfg(test)]
#[path = "grammar_tests.rs"]
mod tests;
