//! A language's syntax as data for tree-sitter: definitions and their extents, imports,
//! faults. Works on files that do not parse, as far as they do.
use super::symbol::{Symbol, SymbolKind};
use std::ops::Range;
use tree_sitter::{Node, Parser, Tree};
use tree_sitter_language::LanguageFn;

/// A definition found at a node.
pub struct Definition<'a> {
    pub name: &'a str,
    /// The type that it belongs to, where the syntax does not nest it: a receiver.
    pub owner: Option<&'a str>,
    /// `None` for what only gives its members a name: Rust's `impl`.
    pub kind: Option<SymbolKind>,
}

impl<'a> Definition<'a> {
    /// The text of a node's field `name`.
    pub fn named(node: Node<'_>, text: &'a str, kind: SymbolKind) -> Option<Self> {
        let name = text_of(node.child_by_field_name("name")?, text);
        (!name.is_empty()).then_some(Self {
            name,
            owner: None,
            kind: Some(kind),
        })
    }
}

/// The source of a node.
pub fn text_of<'a>(node: Node<'_>, text: &'a str) -> &'a str {
    text.get(node.byte_range()).unwrap_or_default()
}

/// How a language's files are read.
pub struct Syntax {
    pub grammar: LanguageFn,
    /// The definition that a node is, if it is one.
    pub definition: for<'a> fn(Node<'_>, &'a str) -> Option<Definition<'a>>,
    /// Kinds of nodes around a definition that belong to it: decorators, `export`.
    pub wrappers: &'static [&'static str],
    /// Kinds of siblings right before a definition that belong to it: attributes,
    /// documentation.
    pub leading: &'static [&'static str],
    /// Kinds of import statements.
    pub imports: &'static [&'static str],
    /// Kinds of comments.
    pub comments: &'static [&'static str],
    /// Kinds of strings that may span lines: their lines are not moved.
    pub strings: &'static [&'static str],
    /// Brackets within which a line goes on with the one before.
    pub brackets: &'static str,
    /// True where a comment below a body belongs to it by its indentation.
    pub is_indented: bool,
    /// The frame in which a bare method parses: text before it, one line, and behind it.
    pub method_frame: Option<(&'static str, &'static str)>,
}

/// A file by its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    pub symbols: Vec<Symbol>,
    /// Lines of the import statements at the top level, from 0, end excluded.
    pub imports: Vec<Range<usize>>,
    /// Bytes of comments and strings, in order.
    pub prose: Vec<Range<usize>>,
}

/// How a physical line begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineStart {
    Blank,
    Comment,
    /// A statement begins here.
    Statement,
    /// Within brackets, or behind a backslash.
    Continued,
    /// Within a string of several lines.
    InString,
}

impl Syntax {
    pub(super) fn tree(&self, text: &str) -> Option<Tree> {
        let mut parser = Parser::new();
        parser.set_language(&self.grammar.into()).ok()?;
        parser.parse(text, None)
    }

    /// Functions and types that have their lines to themselves, in the order of their
    /// first lines. Cost: one parse, some milliseconds for 10,000 lines.
    pub fn symbols(&self, text: &str) -> Vec<Symbol> {
        let tree = self.tree(text);
        tree.map_or(Vec::new(), |tree| self.symbols_of(&tree, text))
    }

    fn symbols_of(&self, tree: &Tree, text: &str) -> Vec<Symbol> {
        self.found_in(tree, text).0
    }

    /// Definitions, and the bytes of comments and strings, by one walk.
    fn found_in(&self, tree: &Tree, text: &str) -> (Vec<Symbol>, Vec<Range<usize>>) {
        let lines: Vec<&str> = text.lines().collect();
        let mut finder = Finder {
            syntax: self,
            text,
            lines: &lines,
            is_prose: self.prose_kinds(),
            found: Vec::new(),
            prose: Vec::new(),
        };
        finder.visit(tree);
        let mut found = finder.found;
        found.sort_by_key(|symbol| symbol.header);
        (found, finder.prose)
    }

    /// For each kind of node whether it is a comment or a string.
    fn prose_kinds(&self) -> Vec<bool> {
        let language = tree_sitter::Language::from(self.grammar);
        let kinds = 0..u16::try_from(language.node_kind_count()).unwrap_or(u16::MAX);
        let is_prose = |id| {
            let kind = language.node_kind_for_id(id).unwrap_or_default();
            self.comments.contains(&kind) || kind.contains("string")
        };
        kinds.map(is_prose).collect()
    }

    /// Definitions, imports, comments and strings of a file, by one parse.
    pub fn outline(&self, text: &str) -> Outline {
        let Some(tree) = self.tree(text) else {
            return Outline::default();
        };
        let (symbols, prose) = self.found_in(&tree, text);
        Outline {
            symbols,
            imports: self.imports_of(&tree),
            prose,
        }
    }

    /// Symbols of a block of code that may hold methods without the type around them.
    pub fn block_symbols(&self, code: &str) -> Vec<Symbol> {
        let plain = self.symbols(code);
        let Some((before, behind)) = self.method_frame else {
            return plain;
        };
        if !plain.is_empty() && self.fault(code).is_none() {
            return plain;
        }
        let framed = format!("{before}\n{code}\n{behind}\n");
        let all = self.symbols(&framed);
        let Some((frame, members)) = all.split_first() else {
            return plain;
        };
        let prefix = format!("{}.", frame.qualified);
        let inner = members.iter().map(|symbol| Symbol {
            qualified: symbol
                .qualified
                .strip_prefix(&prefix)
                .unwrap_or(&symbol.qualified)
                .to_owned(),
            lines: symbol.lines.start.saturating_sub(1)..symbol.lines.end.saturating_sub(1),
            header: symbol.header.saturating_sub(1),
            ..symbol.clone()
        });
        let inner: Vec<Symbol> = inner.collect();
        match self.fault(&framed).is_none() || plain.is_empty() {
            true => inner,
            false => plain,
        }
    }

    /// Lines of the import statements at the top level, from 0, end excluded.
    pub fn imports(&self, text: &str) -> Vec<Range<usize>> {
        let tree = self.tree(text);
        tree.map_or(Vec::new(), |tree| self.imports_of(&tree))
    }

    fn imports_of(&self, tree: &Tree) -> Vec<Range<usize>> {
        let root = tree.root_node();
        let mut cursor = root.walk();
        let imports = root
            .children(&mut cursor)
            .filter(|node| self.imports.contains(&node.kind()));
        imports.map(rows).collect()
    }

    /// The first place that does not parse: `line 3: unexpected "}"`.
    pub fn fault(&self, text: &str) -> Option<String> {
        let tree = self.tree(text)?;
        let root = tree.root_node();
        if !root.has_error() {
            return None;
        }
        let node = first_fault(root).unwrap_or(root);
        let line = node.start_position().row + 1;
        Some(match node.is_missing() {
            true => format!("line {line}: {:?} is missing", node.kind()),
            false => {
                let rest = text.get(node.start_byte()..).unwrap_or_default();
                let shown: String = rest.lines().next().unwrap_or_default().trim().into();
                let shown: String = shown.chars().take(FAULT_CHARS_MAX).collect();
                format!("line {line}: the syntax is not understood at {shown:?}")
            }
        })
    }

    /// Places that do not parse: a change that adds none broke nothing.
    pub fn n_faults(&self, text: &str) -> usize {
        let Some(tree) = self.tree(text) else {
            return 0;
        };
        count_faults(tree.root_node())
    }

    /// The program's words: what is left of it without comments and layout.
    pub fn words<'a>(&self, text: &'a str) -> Vec<&'a str> {
        let mut words = Vec::new();
        if let Some(tree) = self.tree(text) {
            self.leaves(tree.root_node(), text, &mut words);
        }
        words
    }

    fn leaves<'a>(&self, node: Node<'_>, text: &'a str, words: &mut Vec<&'a str>) {
        let mut waiting = vec![node];
        while let Some(node) = waiting.pop() {
            if self.comments.contains(&node.kind()) {
                continue;
            }
            if node.child_count() == 0 || self.strings.contains(&node.kind()) {
                let word = text_of(node, text).trim();
                words.extend((!word.is_empty()).then_some(word));
                continue;
            }
            push_children(&mut waiting, node);
        }
    }

    /// How each physical line begins.
    pub(crate) fn line_starts(&self, text: &str) -> Vec<LineStart> {
        let tree = self.tree(text);
        let mut at = 0;
        let mut starts = Vec::new();
        let mut carried = false;
        for line in text.split_inclusive('\n') {
            let body = line.trim_end_matches(['\n', '\r']);
            let first = at + (body.len() - body.trim_start().len());
            let row = starts.len();
            let start = match &tree {
                Some(tree) => self.line_start(tree, text, row, first, body.trim().is_empty()),
                None if body.trim().is_empty() => LineStart::Blank,
                None => LineStart::Statement,
            };
            starts.push(match start {
                LineStart::Statement if carried => LineStart::Continued,
                start => start,
            });
            carried = self.is_indented && body.ends_with('\\') && start != LineStart::Comment;
            at += line.len();
        }
        starts
    }

    fn line_start(
        &self,
        tree: &Tree,
        text: &str,
        row: usize,
        first: usize,
        is_blank: bool,
    ) -> LineStart {
        let root = tree.root_node();
        let mut node = root.descendant_for_byte_range(first, first);
        let mut is_continued = false;
        while let Some(here) = node {
            let began_before = here.start_position().row < row;
            if began_before && self.strings.contains(&here.kind()) && here.end_byte() > first {
                return LineStart::InString;
            }
            if !began_before && self.comments.contains(&here.kind()) && here.start_byte() == first {
                return LineStart::Comment;
            }
            let opening = text_of(here, text).chars().next();
            let is_bracket = opening.is_some_and(|c| self.brackets.contains(c));
            is_continued |= began_before && is_bracket && here.end_byte() > first;
            node = here.parent();
        }
        match (is_blank, is_continued) {
            (true, _) => LineStart::Blank,
            (false, true) => LineStart::Continued,
            (false, false) => LineStart::Statement,
        }
    }
}

/// Characters of a line that a fault quotes.
const FAULT_CHARS_MAX: usize = 60;

/// Lines of a node, end excluded; one that ends at a line's start does not have it.
fn rows(node: Node<'_>) -> Range<usize> {
    let end = node.end_position();
    let last = end.row + usize::from(end.column > 0);
    let first = node.start_position().row;
    first..last.max(first + 1)
}

fn first_fault(root: Node<'_>) -> Option<Node<'_>> {
    let mut waiting = vec![root];
    while let Some(node) = waiting.pop() {
        if node.is_error() || node.is_missing() {
            return Some(node);
        }
        if node.has_error() {
            push_children(&mut waiting, node);
        }
    }
    None
}

fn count_faults(node: Node<'_>) -> usize {
    let mut n = 0;
    let mut waiting = vec![node];
    while let Some(node) = waiting.pop() {
        if node.has_error() || node.is_missing() {
            n += usize::from(node.is_error() || node.is_missing());
            push_children(&mut waiting, node);
        }
    }
    n
}

/// Puts a node's children on a stack, the first on top. Trees are walked by a stack, for
/// a sum of 100,000 terms is a tree as deep.
fn push_children<'a>(waiting: &mut Vec<Node<'a>>, node: Node<'a>) {
    let mut cursor = node.walk();
    let at = waiting.len();
    waiting.extend(node.children(&mut cursor));
    waiting[at..].reverse();
}

/// The definitions around a node.
#[derive(Clone, Default)]
struct Scope {
    /// Names of the definitions around, joined with dots.
    qualified: String,
    is_local: bool,
}

struct Finder<'a> {
    syntax: &'a Syntax,
    text: &'a str,
    lines: &'a [&'a str],
    is_prose: Vec<bool>,
    found: Vec<Symbol>,
    prose: Vec<Range<usize>>,
}

impl Finder<'_> {
    /// Goes over all nodes by one cursor: a cursor for each took half of a file's time.
    fn visit(&mut self, tree: &Tree) {
        let mut cursor = tree.walk();
        // The scopes around, each with the depth of the node that opened it.
        let mut scopes = vec![(0, Scope::default())];
        let mut depth = 0usize;
        loop {
            let node = cursor.node();
            while scopes.len() > 1 && scopes.last().is_some_and(|(opened, _)| *opened >= depth) {
                scopes.pop();
            }
            let is_prose = self.is_prose.get(usize::from(node.kind_id()));
            let is_within = |last: &Range<usize>| last.end >= node.end_byte();
            if is_prose == Some(&true) && !self.prose.last().is_some_and(is_within) {
                self.prose.push(node.byte_range());
            }
            if cursor.goto_first_child() {
                // A node without children defines nothing.
                if node.is_named() {
                    let (_, scope) = scopes.last().expect("the outermost stays");
                    let inner = self.enter(node, scope);
                    scopes.extend(inner.map(|scope| (depth, scope)));
                }
                depth += 1;
                continue;
            }
            while !cursor.goto_next_sibling() {
                if !cursor.goto_parent() {
                    return;
                }
                depth -= 1;
            }
        }
    }

    /// Adds the definition that a node is, and gives the scope within it.
    fn enter(&mut self, node: Node<'_>, scope: &Scope) -> Option<Scope> {
        let mut inner = None;
        if let Some(definition) = (self.syntax.definition)(node, self.text) {
            let path = [
                &*scope.qualified,
                definition.owner.unwrap_or(""),
                definition.name,
            ];
            let path: Vec<&str> = path.into_iter().filter(|part| !part.is_empty()).collect();
            let qualified = path.join(".");
            if let Some(kind) = definition.kind {
                self.add(node, definition.name, &qualified, kind, scope.is_local);
            }
            let is_function = definition.kind == Some(SymbolKind::Function);
            inner = Some(Scope {
                qualified,
                is_local: scope.is_local || is_function,
            });
        }
        inner
    }

    fn add(
        &mut self,
        node: Node<'_>,
        name: &str,
        qualified: &str,
        kind: SymbolKind,
        is_local: bool,
    ) {
        let whole = self.whole(node);
        let first = self.first_row(whole);
        let Some(header_line) = self.lines.get(node.start_position().row) else {
            return;
        };
        let starts_line = self.before(whole).trim().is_empty();
        if !starts_line || !self.ends_line(whole) {
            return; // It shares its lines with other code.
        }
        let indent = header_line.len() - header_line.trim_start().len();
        let mut lines = first..rows(whole).end.min(self.lines.len());
        if self.syntax.is_indented {
            self.take_comments(&mut lines, indent_width(header_line));
        }
        self.found.push(Symbol {
            name: name.to_owned(),
            qualified: qualified.to_owned(),
            kind,
            lines,
            header: node.start_position().row,
            indent: header_line[..indent].to_owned(),
            is_local,
        });
    }

    /// The node with what is wrapped around it.
    fn whole<'n>(&self, node: Node<'n>) -> Node<'n> {
        let mut whole = node;
        while let Some(parent) = whole.parent() {
            let mut cursor = parent.walk();
            let alike = parent
                .children(&mut cursor)
                .filter(|c| c.kind() == whole.kind());
            // A group of several belongs to none of them.
            if !self.syntax.wrappers.contains(&parent.kind()) || alike.count() > 1 {
                break;
            }
            whole = parent;
        }
        whole
    }

    /// The row of the first of the siblings that lead up to it without a gap.
    fn first_row(&self, whole: Node<'_>) -> usize {
        let mut first = whole.start_position().row;
        let mut before = whole.prev_sibling();
        while let Some(node) = before {
            let is_leading = self.syntax.leading.contains(&node.kind());
            let alone = self.before(node).trim().is_empty();
            if !is_leading || !alone || rows(node).end != first {
                break;
            }
            first = node.start_position().row;
            before = node.prev_sibling();
        }
        first
    }

    /// The text before a node on its first line.
    fn before(&self, node: Node<'_>) -> &str {
        let start = node.start_byte();
        let line_start = self.text[..start].rfind('\n').map_or(0, |at| at + 1);
        &self.text[line_start..start]
    }

    /// True where nothing but punctuation or a comment follows on a node's last line.
    fn ends_line(&self, node: Node<'_>) -> bool {
        let end = node.end_byte();
        if self.text[..end].ends_with('\n') {
            return true;
        }
        let rest = self.text[end..].lines().next().unwrap_or_default();
        let rest = rest.trim_start_matches([';', ',']).trim_start();
        rest.is_empty() || ["#", "//", "/*"].iter().any(|mark| rest.starts_with(mark))
    }

    /// Lengthens `lines` by the comments below that are indented as the body is.
    fn take_comments(&self, lines: &mut Range<usize>, indent: usize) {
        for row in lines.end..self.lines.len() {
            let line = self.lines[row];
            match line.trim_start() {
                "" => {}
                comment if comment.starts_with('#') && indent_width(line) > indent => {
                    lines.end = row + 1;
                }
                _ => return,
            }
        }
    }
}

/// Columns to which a tab goes, as Python has it.
pub(crate) const TAB_WIDTH: usize = 8;

/// Width of a line's indentation; a tab goes to the next multiple of [`TAB_WIDTH`].
pub(crate) fn indent_width(line: &str) -> usize {
    let mut width = 0;
    for byte in line.bytes() {
        match byte {
            b' ' => width += 1,
            b'\t' => width = (width / TAB_WIDTH + 1) * TAB_WIDTH,
            _ => break,
        }
    }
    width
}

#[cfg(test)]
mod tests {
    use crate::lang;

    #[test]
    fn a_sum_of_100_000_terms_overflows_no_stack() {
        let sum = format!("1{}", "+1".repeat(100_000));
        for (path, text) in [
            ("a.py", format!("x = {sum}\ndef f():\n    return 1\n")),
            (
                "a.js",
                format!("const x = {sum};\nfunction f() {{\n  return 1;\n}}\n"),
            ),
        ] {
            let syntax = lang::of_path(path).syntax().unwrap();
            let names: Vec<String> = syntax.symbols(&text).into_iter().map(|s| s.name).collect();
            assert_eq!(names, ["f"], "{path}");
            assert_eq!(syntax.n_faults(&text), 0);
            assert!(syntax.words(&text).len() > 200_000);
        }
    }
}
