//! Go: tests by `go test`.
mod build;
mod events;
mod gotest;
mod package;
mod session;
mod suite;

pub use suite::GO_SUITE_FILE;

use super::syntax::text_of;
use super::{
    Definition, Example, LangError, Language, Needs, Runner, RunnerLimits, SymbolKind, Syntax,
    TestCommands, TestRole,
};
use crate::workspace::{EnvironmentSpec, Sandbox, Toolchain};
use gotest::GoRunner;
use std::path::Path;
use tree_sitter::Node;

static SYNTAX: Syntax = Syntax {
    grammar: tree_sitter_go::LANGUAGE,
    definition,
    wrappers: &["type_declaration"],
    leading: &["comment"],
    imports: &["import_declaration"],
    comments: &["comment"],
    strings: &["raw_string_literal"],
    brackets: "([",
    is_indented: false,
    method_frame: None,
};

fn definition<'a>(node: Node<'_>, text: &'a str) -> Option<Definition<'a>> {
    match node.kind() {
        "function_declaration" => Definition::named(node, text, SymbolKind::Function),
        "method_declaration" => Some(Definition {
            owner: Some(receiver(text_of(
                node.child_by_field_name("receiver")?,
                text,
            ))),
            ..Definition::named(node, text, SymbolKind::Function)?
        }),
        "type_spec" | "type_alias" => Definition::named(node, text, SymbolKind::Type),
        _ => None,
    }
}

/// The type of a receiver: `Cart` of `(c *Cart[T])`.
fn receiver(parameters: &str) -> &str {
    let inner = parameters.trim_matches(['(', ')', ' ']);
    let of = inner.rsplit(' ').next().unwrap_or(inner);
    let of = of.trim_start_matches('*');
    of.split('[').next().unwrap_or(of)
}

pub(super) struct Go;

impl Language for Go {
    fn name(&self) -> &'static str {
        "Go"
    }

    fn fence(&self) -> &'static str {
        "go"
    }

    fn owns(&self, path: &str) -> bool {
        path.ends_with(".go")
    }

    fn syntax(&self) -> Option<&'static Syntax> {
        Some(&SYNTAX)
    }

    /// Its package's, by which others import it: the folder.
    fn module_name<'a>(&self, path: &'a str) -> Option<&'a str> {
        let (folder, _) = path.rsplit_once('/')?;
        folder.rsplit('/').next()
    }

    fn test_role(&self, path: &str) -> TestRole {
        if path.ends_with("_test.go") {
            TestRole::Target
        } else if path.split('/').rev().skip(1).any(|dir| dir == "testdata") {
            TestRole::Support
        } else {
            TestRole::None
        }
    }

    fn product_dirs(&self) -> &'static [(&'static str, &'static [&'static str])] {
        &[("vendor", &["modules.txt"])]
    }

    fn leftovers(&self) -> &'static [&'static str] {
        &["*.test", "*.prof"]
    }

    fn test_commands(&self) -> TestCommands {
        TestCommands {
            phrases: &["go test"],
            failed: &[1],
            missing: "go: not found",
        }
    }

    fn is_project(&self, files: &[String]) -> bool {
        files
            .iter()
            .any(|path| path == "go.mod" || path == "go.work")
    }

    /// The modules that `go.mod` names, in a cache of their own.
    fn environment(&self, _: &Path, _files: &[String]) -> Result<Option<Needs>, LangError> {
        let cache = "{environment}/modules".to_owned();
        // A toolchain in a sandbox fetches nothing unless it is told to.
        let fetch = "if [ \"$GOPROXY\" = off ]; then unset GOPROXY; fi; go mod download";
        Ok(Some(Needs {
            environment: EnvironmentSpec {
                install: vec![fetch.to_owned()],
                variables: [("GOMODCACHE".to_owned(), cache)].into(),
                ..EnvironmentSpec::default()
            },
            toolchain: Toolchain::go().map_err(LangError::NoRunner)?,
        }))
    }

    fn runner<'a>(
        &self,
        sandbox: &'a Sandbox,
        limits: RunnerLimits,
        _files: &[String],
    ) -> Result<Option<Box<dyn Runner + 'a>>, LangError> {
        Ok(Some(Box::new(GoRunner::new(sandbox, limits)?)))
    }

    fn example(&self) -> Example {
        Example {
            path: "shapes.go",
            symbol: "Area",
            code: "func Area(width, height int) int {\n\treturn width * height\n}",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "package shop\n\nimport (\n\t\"fmt\"\n)\n\n// Cart holds prices.\ntype Cart struct {\n\tprices []int\n}\n\ntype (\n\tA int\n\tB int\n)\n\n// Total adds up.\nfunc (c *Cart) Total() int {\n\tsum := 0\n\treturn sum\n}\n\nfunc New() *Cart { return &Cart{} }\n";

    #[test]
    fn definitions_are_found_with_their_documentation() {
        let symbols = Go.symbols(FILE);
        let found: Vec<_> = symbols
            .iter()
            .map(|s| (s.qualified.as_str(), s.lines.clone()))
            .collect();
        assert_eq!(
            found,
            [
                ("Cart", 6..10),
                ("A", 12..13),
                ("B", 13..14),
                ("Cart.Total", 16..21),
                ("New", 22..23)
            ]
        );
        assert_eq!(SYNTAX.imports(FILE)[0], 2..5);
        assert_eq!(SYNTAX.fault(FILE), None);
        assert!(SYNTAX.fault("package a\nfunc f( {\n").is_some());
    }

    #[test]
    fn a_method_is_replaced_and_its_imports_come_along() {
        let code = "import \"strings\"\n\nfunc (c *Cart) Total() int {\n\treturn len(strings.Repeat(\"a\", 3))\n}\n";
        let merged = crate::lang::replace_symbol(&Go, FILE, "Cart.Total", code).unwrap();
        let expected = FILE
            .replace(
                "\tsum := 0\n\treturn sum\n",
                "\treturn len(strings.Repeat(\"a\", 3))\n",
            )
            .replace("\t\"fmt\"\n)\n", "\t\"fmt\"\n)\nimport \"strings\"\n");
        assert_eq!(merged.text, expected);
    }
}
