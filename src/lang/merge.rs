//! Puts a block of code in the place of a function or type.
//!
//! A block that a small model hands in is rarely exactly the function that it named: it
//! is dedented, has the imports on top, or is the type or the file around it. The
//! block's definitions go where their namesakes are.
use super::block::{dedent, in_unit_of, indented, joined};
use super::nearest::{nearest_names, similarity};
use super::{Language, Merged, Symbol};
use std::collections::BTreeSet;

/// `text` with the definition of `symbol` replaced by the one in `code`.
///
/// `symbol` is a name or a path of names, joined with dots or `::`. Decorators,
/// attributes and documentation before the definition are kept if the code has none.
/// Other definitions in the code replace their namesakes, new ones are added beside,
/// and so are imports that the file lacks. The code is indented as the file is. Errors: one
/// sentence for the model.
pub fn replace_symbol(
    language: &dyn Language,
    text: &str,
    symbol: &str,
    code: &str,
) -> Result<Merged, String> {
    let code = in_unit_of(language, text, &dedent(language, code));
    let block = Block {
        language,
        symbols: match language.syntax() {
            Some(syntax) => syntax.block_symbols(&code),
            None => Vec::new(),
        },
        code: &code,
    };
    let all = language.symbols(text);
    let target = find(&all, symbol, &code)?;
    if block.outer().next().is_none() {
        return Err(format!(
            "The code block must hold all of `{symbol}`, from its {} line to its end.",
            language.opening_word(target.kind)
        ));
    }
    let mut merged = Merged::unchanged(text);
    let named = block.outer().any(|s| s.name == target.name)
        || block
            .symbols
            .iter()
            .any(|s| s.qualified == target.qualified);
    if !named {
        return redirect(text, symbol, &block, &all);
    }
    for new in block.outer() {
        place(&mut merged, target, new, &block);
    }
    add_imports(&mut merged, &block);
    Ok(merged)
}

/// The code that a model handed in, at the left margin, and its definitions.
struct Block<'a> {
    language: &'a dyn Language,
    code: &'a str,
    symbols: Vec<Symbol>,
}

impl Block<'_> {
    /// Definitions that stand in no other one.
    fn outer(&self) -> impl Iterator<Item = &Symbol> {
        let stands_in = |inner: &Symbol, other: &Symbol| {
            other.header != inner.header && other.lines.contains(&inner.header)
        };
        let all = &self.symbols;
        all.iter()
            .filter(move |s| !all.iter().any(|other| stands_in(s, other)))
    }
}

/// The block defines other names only: if the file has one of them, the block says
/// what is meant more plainly than the call.
fn redirect(text: &str, symbol: &str, block: &Block<'_>, all: &[Symbol]) -> Result<Merged, String> {
    let known = |s: &&Symbol| all.iter().any(|a| !a.is_local && a.name == s.name);
    if let Some(other) = block.outer().find(known) {
        let mut merged = replace_symbol(block.language, text, &other.name, block.code)?;
        let note = format!(
            "The block defines `{0}`, so `{0}` was replaced.",
            other.name
        );
        merged.notes.insert(0, note);
        return Ok(merged);
    }
    let first = block.outer().next().map_or("", |s| s.name.as_str());
    Err(format!(
        "The call names `{symbol}` but the code block defines `{first}`. Give all of `{symbol}`, under its own name."
    ))
}

/// Puts one definition of the block into the file.
fn place(merged: &mut Merged, target: &Symbol, new: &Symbol, block: &Block<'_>) {
    let language = block.language;
    let all = language.symbols(&merged.text);
    let new_text = lines_of(block.code, new);
    let scope = target.qualified.rsplit_once('.').map(|(scope, _)| scope);
    // A method may come alone; then its namesake is the one in the type.
    let is_method = !new.is_type() && (new.name == target.name || language.is_method(&new_text));
    let in_scope = scope
        .filter(|_| is_method)
        .map(|scope| format!("{scope}.{}", new.name));
    let qualified = in_scope.as_deref().unwrap_or(&new.qualified);
    let same: Vec<&Symbol> = all.iter().filter(|s| s.qualified == qualified).collect();
    let Some(old) = most_like(language, &same, &merged.text, &new_text) else {
        add_definition(merged, target, in_scope.is_some(), new, block);
        return;
    };
    let old_text = lines_of(&merged.text, old);
    let is_target = old.qualified == target.qualified;
    if !is_target && (language.is_stub(&new_text) && !language.is_stub(&old_text)) {
        return;
    }
    let missing: Vec<&Symbol> = members(&all, old)
        .filter(|m| {
            let name = format!("{}.{}", new.qualified, m.name);
            !block.symbols.iter().any(|given| given.qualified == name)
        })
        .collect();
    if old.is_type() && new.is_type() && !missing.is_empty() {
        let kept: Vec<_> = missing.iter().map(|m| format!("`{}`", m.name)).collect();
        merged.notes.push(format!(
            "The block's `{}` lacks {}: kept as they were, only the methods given were replaced.",
            new.name,
            kept.join(", ")
        ));
        place_members(merged, old, new, block);
        return;
    }
    if !is_target {
        if dedent(language, &old_text) == dedent(language, &new_text) {
            return;
        }
        merged
            .notes
            .push(format!("`{}` was replaced too.", old.qualified));
    }
    splice(language, merged, old, new, block.code);
}

/// Puts the methods of a type that is given in part into the file's type.
fn place_members(merged: &mut Merged, old: &Symbol, new: &Symbol, block: &Block<'_>) {
    let language = block.language;
    for member in members(&block.symbols, new) {
        let member_text = dedent(language, &lines_of(block.code, member));
        let all = language.symbols(&merged.text);
        let qualified = format!("{}.{}", old.qualified, member.name);
        let same: Vec<&Symbol> = all.iter().filter(|s| s.qualified == qualified).collect();
        match most_like(language, &same, &merged.text, &member_text) {
            Some(method)
                if language.is_stub(&member_text)
                    && !language.is_stub(&lines_of(&merged.text, method)) => {}
            Some(method) => {
                splice(language, merged, method, member, block.code);
            }
            None => {
                let last = members(&all, old).last().cloned();
                if let Some(last) = last {
                    insert_after(language, merged, &last, &member_text, 1);
                }
            }
        }
    }
}

/// Definitions directly within a type.
fn members<'a>(all: &'a [Symbol], outer: &'a Symbol) -> impl Iterator<Item = &'a Symbol> {
    all.iter().filter(|s| {
        s.qualified.rsplit_once('.').map(|(scope, _)| scope) == Some(&outer.qualified)
            && outer.lines.contains(&s.header)
    })
}

/// Adds a definition that the file does not have: beside the target's method, or before
/// the target at the margin.
fn add_definition(
    merged: &mut Merged,
    target: &Symbol,
    is_method: bool,
    new: &Symbol,
    block: &Block<'_>,
) {
    let language = block.language;
    let new_text = lines_of(block.code, new);
    let all = language.symbols(&merged.text);
    let root = target.qualified.split('.').next().unwrap_or_default();
    let anchor = if is_method { &target.qualified } else { root };
    let at_anchor = all.iter().find(|s| s.qualified == anchor);
    // A root that is no definition of its own (`impl`): beside the target itself.
    let Some(anchor) = at_anchor.or_else(|| all.iter().find(|s| s.qualified == target.qualified))
    else {
        return;
    };
    if is_method {
        insert_after(language, merged, anchor, &new_text, 1);
    } else {
        let block = indented(language, &new_text, &anchor.indent);
        let gap = match language.syntax().is_some_and(|syntax| syntax.is_indented) {
            true => &["", ""][..],
            false => &[""],
        };
        let added: Vec<&str> = block.lines().chain(gap.iter().copied()).collect();
        merged.splice(anchor.lines.start..anchor.lines.start, &added);
    }
    merged
        .notes
        .push(format!("`{}` is new and was added.", new.name));
}

fn insert_after(
    language: &dyn Language,
    merged: &mut Merged,
    anchor: &Symbol,
    text: &str,
    n_blank: usize,
) {
    let block = indented(language, text, &anchor.indent);
    let added: Vec<&str> = std::iter::repeat_n("", n_blank)
        .chain(block.lines())
        .collect();
    merged.splice(anchor.lines.end..anchor.lines.end, &added);
}

/// Replaces the lines of `old` by those of `new` in `code`; what leads up to `old` stays
/// where `new` has nothing before it.
fn splice(language: &dyn Language, merged: &mut Merged, old: &Symbol, new: &Symbol, code: &str) {
    let new_text = dedent(language, &lines_of(code, new));
    let block = indented(language, &new_text, &old.indent);
    let first = match new.lines.start == new.header {
        true => old.header,
        false => old.lines.start,
    };
    let lines: Vec<&str> = block.lines().collect();
    merged.splice(first..old.lines.end, &lines);
}

/// Adds the block's imports that the file does not have, behind the file's last.
fn add_imports(merged: &mut Merged, block: &Block<'_>) {
    let (language, Some(syntax)) = (block.language, block.language.syntax()) else {
        return;
    };
    let new_lines: Vec<&str> = block.code.lines().collect();
    let have = imported_names(language, &merged.text);
    let missing: Vec<String> = syntax
        .imports(block.code)
        .into_iter()
        .map(|range| joined(&new_lines[range]))
        .filter(|import| !imported_names(language, import).is_subset(&have))
        .collect();
    if missing.is_empty() {
        return;
    }
    let old_imports = syntax.imports(&merged.text);
    let at = old_imports
        .last()
        .map_or_else(|| language.first_statement(&merged.text), |last| last.end);
    let lines: Vec<&str> = merged.text.lines().collect();
    let added: Vec<&str> = missing.iter().flat_map(|m| m.lines()).collect();
    let gap = lines
        .get(at)
        .is_some_and(|next| old_imports.is_empty() && !next.trim().is_empty());
    let added = added.into_iter().chain(gap.then_some(""));
    let added: Vec<&str> = added.collect();
    merged.splice(at..at, &added);
    let names: Vec<_> = missing
        .iter()
        .map(|m| format!("`{}`", m.trim_end()))
        .collect();
    merged.notes.push(format!("Added {}.", names.join(", ")));
}

/// The names that the import statements of a text bring.
fn imported_names(language: &dyn Language, text: &str) -> BTreeSet<String> {
    let lines: Vec<&str> = text.lines().collect();
    let imports = language.syntax().map(|syntax| syntax.imports(text));
    let statements = imports.into_iter().flatten();
    statements
        .flat_map(|range| language.imported(&lines[range].join("\n")))
        .collect()
}

/// The definition that `symbol` names. With several of that name (a property and its
/// setter), the one that has as much before it as the code does.
fn find<'a>(all: &'a [Symbol], symbol: &str, code: &str) -> Result<&'a Symbol, String> {
    let wanted = symbol.replace("::", ".");
    let exact = |s: &&Symbol| s.qualified == wanted;
    let by_end = |s: &&Symbol| s.qualified.ends_with(&format!(".{wanted}"));
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
fn most_like<'a>(
    language: &dyn Language,
    same: &[&'a Symbol],
    text: &str,
    new_text: &str,
) -> Option<&'a Symbol> {
    let head = |text: &str| text.lines().take(2).collect::<Vec<_>>().join("\n");
    let likeness = |s: &Symbol| {
        similarity(
            &head(&dedent(language, &lines_of(text, s))),
            &head(new_text),
        )
    };
    same.iter().copied().reduce(|best, s| {
        if likeness(s) > likeness(best) {
            s
        } else {
            best
        }
    })
}

fn lines_of(text: &str, symbol: &Symbol) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let end = symbol.lines.end.min(lines.len());
    joined(&lines[symbol.lines.start.min(end)..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "import os\n\n\n@cache\ndef f(x):\n    return x\n\n\nclass Shape:\n    side = 1\n\n    def area(self):\n        return self.side\n\n    def name(self):\n        return 'shape'\n\n\ndef last():\n    return 3\n";

    fn replace_symbol(text: &str, symbol: &str, code: &str) -> Result<Merged, String> {
        super::replace_symbol(crate::lang::of_path("m.py"), text, symbol, code)
    }

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
