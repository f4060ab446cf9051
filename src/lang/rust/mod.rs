//! Rust: tests by cargo-nextest.
mod build;
mod nextest;
mod suite;

pub use suite::RUST_SUITE_FILE;

use super::{
    Definition, Example, LangError, Language, Needs, Runner, RunnerLimits, SymbolKind, Syntax,
    TestCommands, TestRole,
};
use crate::workspace::{EnvironmentSpec, Sandbox, Toolchain};
use nextest::{NextestRunner, integration_test};
use std::path::Path;
use tree_sitter::Node;

/// Steers cargo-nextest.
const NEXTEST_CONFIG: &str = ".config/nextest.toml";

static SYNTAX: Syntax = Syntax {
    grammar: tree_sitter_rust::LANGUAGE,
    definition,
    wrappers: &[],
    leading: &["attribute_item", "line_comment", "block_comment"],
    imports: &["use_declaration"],
    comments: &["line_comment", "block_comment"],
    strings: &["string_literal", "raw_string_literal"],
    brackets: "([",
    is_indented: false,
    method_frame: None,
};

fn definition<'a>(node: Node<'_>, text: &'a str) -> Option<Definition<'a>> {
    match node.kind() {
        "function_item" | "macro_definition" => Definition::named(node, text, SymbolKind::Function),
        "struct_item" | "enum_item" | "union_item" | "trait_item" => {
            Definition::named(node, text, SymbolKind::Type)
        }
        "mod_item" => Some(Definition {
            kind: None,
            ..Definition::named(node, text, SymbolKind::Type)?
        }),
        // Its members are the type's: `Cart` of `impl<T> Display for shop::Cart<T>`.
        "impl_item" => {
            let of = super::syntax::text_of(node.child_by_field_name("type")?, text);
            let name = of.split('<').next().unwrap_or(of);
            Some(Definition {
                name: name.rsplit("::").next().unwrap_or(name).trim(),
                owner: None,
                kind: None,
            })
        }
        _ => None,
    }
}

pub(super) struct Rust;

impl Language for Rust {
    fn name(&self) -> &'static str {
        "Rust"
    }

    fn fence(&self) -> &'static str {
        "rust"
    }

    fn owns(&self, path: &str) -> bool {
        path.ends_with(".rs")
    }

    fn syntax(&self) -> Option<&'static Syntax> {
        Some(&SYNTAX)
    }

    fn is_method(&self, definition: &str) -> bool {
        let Some((_, params)) = definition.split_once('(') else {
            return false;
        };
        let first = params.split([',', ')']).next().unwrap_or_default();
        first
            .split_whitespace()
            .any(|word| word.trim_start_matches('&') == "self")
    }

    /// Integration tests. Unit tests stand in the files that they test: those of a patch
    /// are the patch's own.
    fn test_role(&self, path: &str) -> TestRole {
        if path == NEXTEST_CONFIG {
            TestRole::Config
        } else if integration_test(path).is_some() {
            TestRole::Target
        } else if path.ends_with(".rs") && path.split('/').rev().skip(1).any(|dir| dir == "tests") {
            TestRole::Support
        } else {
            TestRole::None
        }
    }

    fn product_dirs(&self) -> &'static [(&'static str, &'static [&'static str])] {
        &[(
            "target",
            &[".rustc_info.json", "CACHEDIR.TAG", "debug", "release"],
        )]
    }

    fn test_commands(&self) -> TestCommands {
        TestCommands {
            phrases: &["cargo test", "cargo nextest"],
            failed: &[100, 101],
            missing: "no such command",
        }
    }

    fn is_project(&self, files: &[String]) -> bool {
        files.iter().any(|path| path == "Cargo.toml")
    }

    /// The crates that its manifests name, in a cargo home of their own.
    fn environment(&self, _: &Path, _files: &[String]) -> Result<Option<Needs>, LangError> {
        let home = "{environment}/cargo".to_owned();
        Ok(Some(Needs {
            environment: EnvironmentSpec {
                install: vec!["cargo fetch".to_owned()],
                variables: [("CARGO_HOME".to_owned(), home)].into(),
                ..EnvironmentSpec::default()
            },
            toolchain: Toolchain::rust(Path::new("/")).map_err(LangError::NoRunner)?,
        }))
    }

    fn runner<'a>(
        &self,
        sandbox: &'a Sandbox,
        limits: RunnerLimits,
        _files: &[String],
    ) -> Result<Option<Box<dyn Runner + 'a>>, LangError> {
        Ok(Some(Box::new(NextestRunner::new(sandbox, limits)?)))
    }

    fn example(&self) -> Example {
        Example {
            path: "src/shapes.rs",
            symbol: "area",
            code: "pub fn area(width: u32, height: u32) -> u32 {\n    width * height\n}",
        }
    }
}
