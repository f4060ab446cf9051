//! Puts a block of Python code in the place of a function or class.
//!
//! What a small model hands in is rarely exactly the function that it named:
//! it is dedented, has the imports on top, or is the class or the file around
//! it. The block's definitions go where their namesakes are.
use super::nearest::nearest_names;
use super::python::{LineStart, Symbol, imports, indent_width, line_starts, symbols};

/// A file's new text and what the model should know about how it came to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Merged {
    pub text: String,
    pub notes: Vec<String>,
}

/// `text` with the definition of `symbol` replaced by the one in `code`.
///
/// `symbol` is a name or a dotted path of names. Decorators are kept if the
/// code has none. Other definitions in the code replace their namesakes, new
/// ones are added beside, and so are imports that the file lacks. Errors: one
/// sentence for the model.
pub(crate) fn replace_symbol(text: &str, symbol: &str, code: &str) -> Result<Merged, String> {
    let code = dedent(code);
    let given = symbols(&code);
    let outer: Vec<&Symbol> = given.iter().filter(|s| s.indent.is_empty()).collect();
    let all = symbols(text);
    let target = find(&all, symbol, &code)?;
    if outer.is_empty() {
        return Err(format!(
            "The code block must hold all of `{symbol}`, from its {} line to its end.",
            if target.is_class { "class" } else { "def" }
        ));
    }
    let mut merged = Merged {
        text: text.to_string(),
        notes: Vec::new(),
    };
    let named = outer.iter().any(|s| s.name == target.name)
        || given.iter().any(|s| s.qualified == target.qualified);
    if !named {
        return redirect(text, symbol, &code, &outer, &all);
    }
    for new in &outer {
        place(&mut merged, target, new, &given, &code);
    }
    add_imports(&mut merged, &code);
    Ok(merged)
}

/// The block defines other names only: if the file has one of them, the block
/// says what is meant more plainly than the call.
fn redirect(
    text: &str,
    symbol: &str,
    code: &str,
    outer: &[&Symbol],
    all: &[Symbol],
) -> Result<Merged, String> {
    let known = |s: &&&Symbol| all.iter().any(|a| !a.is_local && a.name == s.name);
    if let Some(other) = outer.iter().find(known) {
        let mut merged = replace_symbol(text, &other.name, code)?;
        let note = format!(
            "The block defines `{0}`, so `{0}` was replaced.",
            other.name
        );
        merged.notes.insert(0, note);
        return Ok(merged);
    }
    Err(format!(
        "The call names `{symbol}` but the code block defines `{}`. Give all of `{symbol}`, under its own name.",
        outer[0].name
    ))
}

/// Puts one definition of the block into the file.
fn place(merged: &mut Merged, target: &Symbol, new: &Symbol, given: &[Symbol], code: &str) {
    let all = symbols(&merged.text);
    let new_text = lines_of(code, new);
    let scope = target.qualified.rsplit_once('.').map(|(scope, _)| scope);
    // A method may come alone; then its namesake is the one in the class.
    let in_scope = scope
        .filter(|_| !new.is_class && (new.name == target.name || takes_self(&new_text)))
        .map(|scope| format!("{scope}.{}", new.name));
    let qualified = in_scope.as_deref().unwrap_or(&new.name);
    let same: Vec<&Symbol> = all.iter().filter(|s| s.qualified == qualified).collect();
    let Some(old) = most_like(&same, &merged.text, &new_text) else {
        add_definition(merged, target, in_scope.is_some(), new, &new_text);
        return;
    };
    let old_text = lines_of(&merged.text, old);
    let is_target = old.qualified == target.qualified;
    if !is_target && (is_stub(&new_text) && !is_stub(&old_text)) {
        return;
    }
    let missing: Vec<&Symbol> = members(&all, old)
        .filter(|m| {
            !given
                .iter()
                .any(|g| g.qualified == format!("{}.{}", new.qualified, m.name))
        })
        .collect();
    if old.is_class && new.is_class && !missing.is_empty() {
        let kept: Vec<_> = missing.iter().map(|m| format!("`{}`", m.name)).collect();
        merged.notes.push(format!(
            "The block's `{}` lacks {}: kept as they were, only the methods given were replaced.",
            new.name,
            kept.join(", ")
        ));
        place_members(merged, old, new, given, code);
        return;
    }
    if !is_target {
        if dedent(&old_text) == dedent(&new_text) {
            return;
        }
        merged
            .notes
            .push(format!("`{}` was replaced too.", old.qualified));
    }
    merged.text = splice(&merged.text, old, &new_text);
}

/// Puts the methods of a class that is given in part into the file's class.
fn place_members(merged: &mut Merged, old: &Symbol, new: &Symbol, given: &[Symbol], code: &str) {
    for member in members(given, new) {
        let member_text = dedent(&lines_of(code, member));
        let all = symbols(&merged.text);
        let qualified = format!("{}.{}", old.qualified, member.name);
        let same: Vec<&Symbol> = all.iter().filter(|s| s.qualified == qualified).collect();
        match most_like(&same, &merged.text, &member_text) {
            Some(method) if is_stub(&member_text) && !is_stub(&lines_of(&merged.text, method)) => {}
            Some(method) => merged.text = splice(&merged.text, method, &member_text),
            None => {
                let last = members(&all, old).last().cloned();
                if let Some(last) = last {
                    insert_after(merged, &last, &member_text, 1);
                }
            }
        }
    }
}

/// Definitions directly within a class.
fn members<'a>(all: &'a [Symbol], class: &'a Symbol) -> impl Iterator<Item = &'a Symbol> {
    all.iter().filter(|s| {
        s.qualified.rsplit_once('.').map(|(scope, _)| scope) == Some(&class.qualified)
            && class.lines.contains(&s.header)
    })
}

/// Adds a definition that the file does not have: beside the target's method,
/// or before the target at the margin.
fn add_definition(
    merged: &mut Merged,
    target: &Symbol,
    is_method: bool,
    new: &Symbol,
    new_text: &str,
) {
    let all = symbols(&merged.text);
    let root = target.qualified.split('.').next().unwrap_or_default();
    let anchor = if is_method { &target.qualified } else { root };
    let Some(anchor) = all.iter().find(|s| s.qualified == anchor) else {
        return;
    };
    if is_method {
        insert_after(merged, anchor, new_text, 1);
    } else {
        let mut lines: Vec<&str> = merged.text.lines().collect();
        let block = indented(new_text, &anchor.indent);
        let added: Vec<&str> = block.lines().chain(["", ""]).collect();
        lines.splice(anchor.lines.start..anchor.lines.start, added);
        merged.text = joined(&lines);
    }
    merged
        .notes
        .push(format!("`{}` is new and was added.", new.name));
}

fn insert_after(merged: &mut Merged, anchor: &Symbol, text: &str, n_blank: usize) {
    let mut lines: Vec<&str> = merged.text.lines().collect();
    let block = indented(text, &anchor.indent);
    let added: Vec<&str> = std::iter::repeat_n("", n_blank)
        .chain(block.lines())
        .collect();
    lines.splice(anchor.lines.end..anchor.lines.end, added);
    merged.text = joined(&lines);
}

/// The file with the lines of `old` replaced.
fn splice(text: &str, old: &Symbol, new_text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    let mut block = indented(new_text, &old.indent);
    let decorated = block.trim_start().starts_with('@');
    if !decorated {
        let kept = joined(&lines[old.lines.start..old.header]);
        block.insert_str(0, &kept);
    }
    lines.splice(old.lines.clone(), block.lines());
    joined(&lines)
}

/// Adds the block's imports that the file does not have, behind the file's last.
fn add_imports(merged: &mut Merged, code: &str) {
    let new_lines: Vec<&str> = code.lines().collect();
    let have = imported_names(&merged.text);
    let missing: Vec<String> = imports(code)
        .into_iter()
        .map(|range| joined(&new_lines[range]))
        .filter(|import| !imported_names(import).is_subset(&have))
        .collect();
    if missing.is_empty() {
        return;
    }
    let at = imports(&merged.text)
        .last()
        .map_or_else(|| first_statement(&merged.text), |last| last.end);
    let mut lines: Vec<&str> = merged.text.lines().collect();
    let added: Vec<&str> = missing.iter().flat_map(|m| m.lines()).collect();
    let gap = lines
        .get(at)
        .is_some_and(|next| imports(&merged.text).is_empty() && !next.trim().is_empty());
    let added = added.into_iter().chain(gap.then_some(""));
    lines.splice(at..at, added.collect::<Vec<_>>());
    merged.text = joined(&lines);
    let names: Vec<_> = missing
        .iter()
        .map(|m| format!("`{}`", m.trim_end()))
        .collect();
    merged.notes.push(format!("Added {}.", names.join(", ")));
}

/// What import statements bring, one entry a name: `from a import b`.
fn imported_names(text: &str) -> std::collections::BTreeSet<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut names = std::collections::BTreeSet::new();
    for range in imports(text) {
        let statement = lines[range].join(" ").replace(['(', ')', '\\'], " ");
        let statement = statement.split('#').next().unwrap_or_default().to_string();
        let (prefix, list) = statement.split_once("import ").unwrap_or((&statement, ""));
        for name in list.split(',').map(str::trim).filter(|n| !n.is_empty()) {
            names.insert(format!("{}import {name}", prefix.trim_start()));
        }
    }
    names
}

/// The line behind a file's comments and docstring: where a first import goes.
fn first_statement(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let starts = line_starts(text);
    let mut statements = starts
        .iter()
        .enumerate()
        .filter(|(_, s)| **s == LineStart::Statement);
    let Some((first, _)) = statements.next() else {
        return 0;
    };
    let is_docstring = lines[first].starts_with(['"', '\'']);
    match (is_docstring, statements.next()) {
        (true, Some((second, _))) => second,
        (true, None) => lines.len(),
        (false, _) => first,
    }
}

/// The definition that `symbol` names. With several of that name (a property
/// and its setter), the one most like the code.
fn find<'a>(all: &'a [Symbol], symbol: &str, code: &str) -> Result<&'a Symbol, String> {
    let exact = |s: &&Symbol| s.qualified == symbol;
    let by_end = |s: &&Symbol| s.qualified.ends_with(&format!(".{symbol}"));
    let mut same: Vec<&Symbol> = all.iter().filter(exact).collect();
    if same.is_empty() {
        same = all.iter().filter(by_end).collect();
        let mut places: Vec<&str> = same.iter().map(|s| s.qualified.as_str()).collect();
        places.dedup();
        if places.len() > 1 {
            return Err(format!(
                "`{symbol}` is ambiguous: name one of {}.",
                places.join(", ")
            ));
        }
    }
    let given = code.lines().find(|line| !line.trim().is_empty());
    let decorated = given.is_some_and(|line| line.starts_with('@'));
    match same[..] {
        [] => Err(not_found(all, symbol)),
        [only] => Ok(only),
        _ => Ok(same
            .iter()
            .find(|s| (s.header != s.lines.start) == decorated)
            .unwrap_or(&same[0])),
    }
}

fn not_found(all: &[Symbol], symbol: &str) -> String {
    let names: Vec<&str> = all
        .iter()
        .filter(|s| !s.is_local)
        .map(|s| s.qualified.as_str())
        .collect();
    let near = nearest_names(symbol, &names, 3);
    let list = |names: &[&str]| names.join(", ");
    if names.is_empty() {
        format!("There is no function or class `{symbol}`: the file defines none. Use write.")
    } else if near.is_empty() {
        format!(
            "There is no function or class `{symbol}`. The file defines: {}.",
            list(&names[..names.len().min(NAMES_SHOWN_MAX)])
        )
    } else {
        format!(
            "There is no function or class `{symbol}`. The nearest: {}.",
            list(&near)
        )
    }
}

/// Names that an observation lists at most.
const NAMES_SHOWN_MAX: usize = 20;

/// Of several definitions of one name, the one most like the new text.
fn most_like<'a>(same: &[&'a Symbol], text: &str, new_text: &str) -> Option<&'a Symbol> {
    let head = |text: &str| text.lines().take(2).collect::<Vec<_>>().join("\n");
    let likeness = |s: &Symbol| {
        super::nearest::similarity(&head(&dedent(&lines_of(text, s))), &head(new_text))
    };
    same.iter().copied().reduce(|best, s| {
        if likeness(s) > likeness(best) {
            s
        } else {
            best
        }
    })
}

/// True when a definition's body says nothing: `...`, `pass`, or comments.
fn is_stub(text: &str) -> bool {
    let starts = line_starts(text);
    let Some(symbol) = symbols(text).into_iter().next() else {
        return false;
    };
    let body = text.lines().enumerate().skip(symbol.header + 1);
    let mut statements = body.filter(|(at, line)| {
        starts[*at] == LineStart::Statement
            && !line.trim_start().starts_with(['"', '\''])
            && !matches!(without_comment(line), "..." | "pass")
    });
    let inline = text.lines().nth(symbol.header).is_some_and(|header| {
        let header = without_comment(header);
        let ends = [":", "(", ",", "...", "pass"];
        !ends.iter().any(|end| header.ends_with(end))
    });
    statements.next().is_none() && !inline
}

fn without_comment(line: &str) -> &str {
    line.split('#').next().unwrap_or_default().trim()
}

fn takes_self(definition: &str) -> bool {
    let Some((_, params)) = definition.split_once('(') else {
        return false;
    };
    let first = params.trim_start();
    first.starts_with("self") || first.starts_with("cls")
}

fn lines_of(text: &str, symbol: &Symbol) -> String {
    let lines: Vec<&str> = text.lines().collect();
    joined(&lines[symbol.lines.clone()])
}

fn joined(lines: &[&str]) -> String {
    let mut text = lines.join("\n");
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// `code` with the indentation of its least indented statement taken off.
/// Lines within strings lose as much, as far as they have it.
pub(crate) fn dedent(code: &str) -> String {
    let starts = line_starts(code);
    let least = code
        .lines()
        .zip(&starts)
        .filter(|(_, start)| **start == LineStart::Statement)
        .map(|(line, _)| indent_width(line))
        .min()
        .unwrap_or(0);
    let cut = |line: &str| {
        let blank = line.len() - line.trim_start_matches([' ', '\t']).len();
        let at = (0..=blank).find(|&at| indent_width(&line[..at]) >= least);
        line[at.unwrap_or(blank)..].to_string()
    };
    let lines: Vec<String> = code.lines().map(cut).collect();
    joined(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Dedented `code` with `indent` before each line. A string's line at the
/// very margin stays there: it was written so on purpose.
pub(crate) fn indented(code: &str, indent: &str) -> String {
    let starts = line_starts(code);
    let lines: Vec<String> = code
        .lines()
        .zip(&starts)
        .map(|(line, start)| {
            let at_margin = *start == LineStart::InString && !line.starts_with([' ', '\t']);
            if line.trim().is_empty() || at_margin {
                line.to_string()
            } else {
                format!("{indent}{line}")
            }
        })
        .collect();
    joined(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "import os\n\n\n@cache\ndef f(x):\n    return x\n\n\nclass Shape:\n    side = 1\n\n    def area(self):\n        return self.side\n\n    def name(self):\n        return 'shape'\n\n\ndef last():\n    return 3\n";

    fn merged(symbol: &str, code: &str) -> Merged {
        replace_symbol(FILE, symbol, code).unwrap()
    }

    #[test]
    fn exactly_the_named_function_changes_and_keeps_its_decorators() {
        let result = merged("f", "def f(x):\n    return x + 1\n");
        assert_eq!(result.text, FILE.replace("return x\n", "return x + 1\n"));
        assert!(result.notes.is_empty());
    }

    #[test]
    fn a_method_given_at_the_margin_is_indented() {
        let code = "def area(self):\n    \"\"\"Squared.\n\n    Always.\n    \"\"\"\n    return self.side ** 2\n";
        for symbol in ["Shape.area", "area"] {
            let result = merged(symbol, code);
            let expected = "    def area(self):\n        \"\"\"Squared.\n\n        Always.\n        \"\"\"\n        return self.side ** 2\n\n    def name";
            assert!(result.text.contains(expected), "{}", result.text);
        }
        let as_in_file = "    def area(self):\n        return self.side ** 2\n";
        let result = merged("Shape.area", as_in_file);
        assert!(result.text.contains(as_in_file));
    }

    #[test]
    fn a_method_within_its_class_replaces_the_method_only() {
        let code = "class Shape:\n    def area(self):\n        return 7\n";
        for symbol in ["Shape.area", "Shape"] {
            let result = merged(symbol, code);
            let expected = FILE.replace("        return self.side\n", "        return 7\n");
            assert_eq!(result.text, expected, "{symbol}");
            assert!(result.notes[0].contains("`name`: kept"));
        }
    }

    #[test]
    fn a_whole_class_replaces_the_class() {
        let code = "class Shape:\n    side = 2\n\n    def area(self):\n        return 4\n\n    def name(self):\n        return 'square'\n";
        let result = merged("Shape", code);
        assert!(result.text.contains(code) && !result.text.contains("'shape'"));
        assert_eq!(result.text.matches("class Shape").count(), 1);
    }

    #[test]
    fn imports_and_helpers_come_along() {
        let code = "import os\nfrom math import sqrt\n\ndef helper(x):\n    return sqrt(x)\n\ndef f(x):\n    return helper(x)\n";
        let result = merged("f", code);
        assert!(result.text.starts_with(
            "import os\nfrom math import sqrt\n\n\ndef helper(x):\n    return sqrt(x)\n\n\n@cache\ndef f(x):\n    return helper(x)\n"
        ), "{}", result.text);
        assert_eq!(result.notes.len(), 2);
    }

    #[test]
    fn a_whole_file_replaces_each_of_its_namesakes_but_not_by_stubs() {
        let code = "def f(x):\n    return 2 * x\n\ndef last():\n    ...  # unchanged\n\nclass Shape:\n    def name(self):\n        return 'new'\n";
        let result = merged("f", code);
        assert!(result.text.contains("return 2 * x") && result.text.contains("return 3"));
        assert!(result.text.contains("'new'") && result.text.contains("return self.side"));
    }

    #[test]
    fn a_block_for_another_function_goes_to_that_function() {
        let result = merged("f", "def last():\n    return 4\n");
        assert_eq!(result.text, FILE.replace("return 3", "return 4"));
        assert!(result.notes[0].contains("`last`"));
        let error = replace_symbol(FILE, "f", "def g():\n    pass\n").unwrap_err();
        assert!(error.contains("defines `g`"), "{error}");
    }

    #[test]
    fn what_cannot_be_placed_is_answered_with_the_nearest_names() {
        let error = replace_symbol(FILE, "Shape.arae", "def arae(self):\n    pass\n").unwrap_err();
        assert!(error.contains("Shape.area"), "{error}");
        let error = replace_symbol(FILE, "f", "return x + 1\n").unwrap_err();
        assert!(error.contains("from its def line"), "{error}");
        let error = replace_symbol("X = 1\n", "f", "def f():\n    pass\n").unwrap_err();
        assert!(error.contains("defines none"), "{error}");
    }

    #[test]
    fn a_property_and_its_setter_are_told_apart_by_their_decorators() {
        let text = "class A:\n    @property\n    def x(self):\n        return 1\n\n    @x.setter\n    def x(self, value):\n        pass\n";
        let code = "@x.setter\ndef x(self, value):\n    self.y = value\n";
        let result = replace_symbol(text, "A.x", code).unwrap();
        assert_eq!(
            result.text,
            text.replace("        pass\n", "        self.y = value\n")
        );
    }

    #[test]
    fn a_strings_line_at_the_margin_stays_there() {
        let code = "def area(self):\n    return \"\"\"\nraw\n\"\"\"\n";
        let result = merged("area", code);
        assert!(result.text.contains("        return \"\"\"\nraw\n\"\"\"\n"));
    }
}
