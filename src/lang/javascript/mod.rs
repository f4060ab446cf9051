//! JavaScript and TypeScript: tests by `node --test`, vitest or jest.
mod kind;
mod reports;
mod runner;
mod session;
mod suite;

pub use suite::JAVASCRIPT_SUITE_FILE;

use super::syntax::text_of;
use super::{
    Definition, Example, LangError, Language, Needs, Runner, RunnerLimits, SymbolKind, Syntax,
    TestCommands, TestRole,
};
use crate::workspace::{EnvironmentSpec, Sandbox, Toolchain};
use kind::Kind;
use runner::NodeRunner;
use std::path::Path;
use tree_sitter::Node;
use tree_sitter_language::LanguageFn;

const fn syntax(grammar: LanguageFn) -> Syntax {
    Syntax {
        grammar,
        definition,
        wrappers: &[
            "lexical_declaration",
            "variable_declaration",
            "export_statement",
            "expression_statement",
        ],
        leading: &["comment", "decorator"],
        imports: &["import_statement"],
        comments: &["comment"],
        strings: &["template_string"],
        brackets: "([",
        is_indented: false,
        method_frame: Some(("class Frame {", "}")),
    }
}

static JAVASCRIPT_SYNTAX: Syntax = syntax(tree_sitter_javascript::LANGUAGE);
static TYPESCRIPT_SYNTAX: Syntax = syntax(tree_sitter_typescript::LANGUAGE_TYPESCRIPT);
static TSX_SYNTAX: Syntax = syntax(tree_sitter_typescript::LANGUAGE_TSX);

fn definition<'a>(node: Node<'_>, text: &'a str) -> Option<Definition<'a>> {
    match node.kind() {
        "function_declaration"
        | "generator_function_declaration"
        | "function_signature"
        | "method_definition" => Definition::named(node, text, SymbolKind::Function),
        "class_declaration"
        | "abstract_class_declaration"
        | "interface_declaration"
        | "enum_declaration"
        | "type_alias_declaration" => Definition::named(node, text, SymbolKind::Type),
        "internal_module" | "module" => Some(Definition {
            kind: None,
            ..Definition::named(node, text, SymbolKind::Type)?
        }),
        // `const total = (prices) => ...`
        "variable_declarator" | "public_field_definition" | "field_definition" => {
            let kind = kind_of_value(node.child_by_field_name("value")?)?;
            let field = ["name", "property"];
            let name = field
                .iter()
                .find_map(|field| node.child_by_field_name(field))?;
            Some(Definition {
                name: text_of(name, text),
                owner: None,
                kind: Some(kind),
            })
        }
        // `exports.total = function (prices) { ... }`
        "assignment_expression" => {
            let kind = kind_of_value(node.child_by_field_name("right")?)?;
            let left = node.child_by_field_name("left")?;
            let property = left.child_by_field_name("property")?;
            let object = text_of(left.child_by_field_name("object")?, text);
            let owner = object.strip_suffix(".prototype").unwrap_or_default();
            Some(Definition {
                name: text_of(property, text),
                owner: Some(owner),
                kind: Some(kind),
            })
        }
        _ => None,
    }
}

/// The kind of a name that such a value is given.
fn kind_of_value(value: Node<'_>) -> Option<SymbolKind> {
    match value.kind() {
        "arrow_function" | "function_expression" | "generator_function" => {
            Some(SymbolKind::Function)
        }
        "class" => Some(SymbolKind::Type),
        _ => None,
    }
}

/// One of the languages that run on Node.
pub(super) struct JavaScript {
    name: &'static str,
    fence: &'static str,
    endings: &'static [&'static str],
    syntax: &'static Syntax,
    example: Example,
}

pub(super) static JAVASCRIPT: JavaScript = JavaScript {
    name: "JavaScript",
    fence: "javascript",
    endings: &[".js", ".mjs", ".cjs", ".jsx"],
    syntax: &JAVASCRIPT_SYNTAX,
    example: Example {
        path: "src/shapes.js",
        symbol: "area",
        code: "export function area(width, height) {\n  return width * height;\n}",
    },
};

pub(super) static TYPESCRIPT: JavaScript = JavaScript {
    name: "TypeScript",
    fence: "typescript",
    endings: &[".ts", ".mts", ".cts"],
    syntax: &TYPESCRIPT_SYNTAX,
    example: TYPED_EXAMPLE,
};

pub(super) static TSX: JavaScript = JavaScript {
    name: "TypeScript",
    fence: "tsx",
    endings: &[".tsx"],
    syntax: &TSX_SYNTAX,
    example: TYPED_EXAMPLE,
};

const TYPED_EXAMPLE: Example = Example {
    path: "src/shapes.ts",
    symbol: "area",
    code: "export function area(width: number, height: number): number {\n  return width * height;\n}",
};

/// True for a file of one of them.
fn owns_some(path: &str) -> bool {
    let languages = [&JAVASCRIPT, &TYPESCRIPT, &TSX];
    languages.iter().any(|language| language.owns(path))
}

/// Files that steer vitest and jest alone, up to their endings.
const CONFIGS: [&str; 3] = ["vitest.config", "vitest.workspace", "jest.config"];

impl Language for JavaScript {
    fn name(&self) -> &'static str {
        self.name
    }

    fn fence(&self) -> &'static str {
        self.fence
    }

    fn owns(&self, path: &str) -> bool {
        self.endings.iter().any(|ending| path.ends_with(ending))
    }

    fn syntax(&self) -> Option<&'static Syntax> {
        Some(self.syntax)
    }

    /// A folder's name for its `index` file.
    fn module_name<'a>(&self, path: &'a str) -> Option<&'a str> {
        let mut parts = path.rsplit('/');
        let stem = parts.next()?.split('.').next()?;
        match stem {
            "index" => parts.next().or(Some(stem)),
            stem => Some(stem),
        }
    }

    /// By the names that `node --test`, vitest and jest look for.
    fn test_role(&self, path: &str) -> TestRole {
        let mut folders: Vec<&str> = path.split('/').collect();
        let name = folders.pop().unwrap_or(path);
        let Some(ending) = self.endings.iter().find(|ending| name.ends_with(**ending)) else {
            return TestRole::None;
        };
        let stem = name.strip_suffix(ending).unwrap_or(name);
        if CONFIGS.contains(&stem) {
            return TestRole::Config;
        }
        let marks = [".test", ".spec", "-test", "_test"];
        let is_named = marks.iter().any(|mark| stem.ends_with(mark))
            || stem.starts_with("test-")
            || stem == "test";
        let in_tests = folders
            .iter()
            .any(|f| matches!(*f, "__tests__" | "test" | "tests"));
        match (is_named || folders.contains(&"__tests__"), in_tests) {
            (true, _) => TestRole::Target,
            (false, true) => TestRole::Support,
            (false, false) => TestRole::None,
        }
    }

    fn skipped_dirs(&self) -> &'static [&'static str] {
        &["node_modules"]
    }

    fn leftovers(&self) -> &'static [&'static str] {
        &[".nyc_output"]
    }

    fn test_commands(&self) -> TestCommands {
        TestCommands {
            phrases: &[
                "npm test",
                "npm run test",
                "node --test",
                "vitest",
                "jest",
                "yarn test",
                "pnpm test",
            ],
            failed: &[1],
            missing: "Missing script",
        }
    }

    fn is_project(&self, files: &[String]) -> bool {
        Kind::of(files).is_some()
    }

    fn usual_test_command(&self, files: &[String]) -> Option<&'static str> {
        let has_manifest = files.iter().any(|path| path == "package.json");
        has_manifest.then_some("npm test")
    }

    /// npm puts the packages into the repository, as its lock file has them where there is one.
    fn environment(&self, _: &Path, files: &[String]) -> Result<Option<Needs>, LangError> {
        let is_locked = files.iter().any(|path| path == "package-lock.json");
        let install = match is_locked {
            true => "npm ci --no-audit --no-fund",
            false => "npm install --no-save --no-package-lock --no-audit --no-fund",
        };
        Ok(Some(Needs {
            environment: EnvironmentSpec {
                install: vec![install.to_owned()],
                ..EnvironmentSpec::default()
            },
            toolchain: Toolchain::node().map_err(LangError::NoRunner)?,
        }))
    }

    fn runner<'a>(
        &self,
        sandbox: &'a Sandbox,
        limits: RunnerLimits,
        files: &[String],
    ) -> Result<Option<Box<dyn Runner + 'a>>, LangError> {
        let Some(kind) = Kind::of(files) else {
            return Ok(None);
        };
        Ok(Some(Box::new(NodeRunner::new(sandbox, limits, kind)?)))
    }

    fn example(&self) -> Example {
        self.example
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::replace_symbol;

    const FILE: &str = "import { round } from './round.js';\n\n/** Prices. */\nexport class Cart {\n  total(prices) {\n    return prices.length + 1;\n  }\n\n  static of() { return new Cart(); }\n}\n\nexport const mean = (xs) => {\n  return round(xs);\n};\n\nexports.old = function (x) {\n  return x;\n};\n\nconst a = 1, b = () => 2;\n";

    #[test]
    fn functions_are_found_however_they_are_written() {
        let symbols = JAVASCRIPT.symbols(FILE);
        let found: Vec<_> = symbols
            .iter()
            .map(|s| (s.qualified.as_str(), s.lines.clone()))
            .collect();
        assert_eq!(
            found,
            [
                ("Cart", 2..10),
                ("Cart.total", 4..7),
                ("Cart.of", 8..9),
                ("mean", 11..14),
                ("old", 15..18)
            ]
        );
        let typed = "interface Shape { side: number }\nexport type Id = string;\nenum Kind { A }\nfunction f(x: number): number {\n  return x;\n}\n";
        let names: Vec<_> = TYPESCRIPT
            .symbols(typed)
            .into_iter()
            .map(|s| s.name)
            .collect();
        assert_eq!(names, ["Shape", "Id", "Kind", "f"]);
        let tsx = "export function View(): JSX.Element {\n  return <p>{1}</p>;\n}\n";
        assert_eq!(TSX.symbols(tsx).len(), 1);
        assert_eq!(TSX_SYNTAX.fault(tsx), None);
    }

    #[test]
    fn a_bare_method_goes_into_its_class() {
        let code = "total(prices) {\n  return `a\nb`.length;\n}\n";
        let merged = replace_symbol(&JAVASCRIPT, FILE, "Cart.total", code).unwrap();
        // A line of a template string stays at the margin.
        let expected = FILE.replace(
            "    return prices.length + 1;\n",
            "    return `a\nb`.length;\n",
        );
        assert_eq!(merged.text, expected);
    }

    #[test]
    fn a_function_keeps_its_documentation_and_brings_its_imports() {
        let code =
            "import { sum } from './sum.js';\n\nexport const mean = (xs) => sum(xs) / xs.length;\n";
        let merged = replace_symbol(&JAVASCRIPT, FILE, "mean", code).unwrap();
        let expected = FILE
            .replace(
                "export const mean = (xs) => {\n  return round(xs);\n};\n",
                "export const mean = (xs) => sum(xs) / xs.length;\n",
            )
            .replace(
                "round.js';\n",
                "round.js';\nimport { sum } from './sum.js';\n",
            );
        assert_eq!(merged.text, expected);
    }

    #[test]
    fn a_fault_names_its_line() {
        assert_eq!(JAVASCRIPT_SYNTAX.fault(FILE), None);
        let fault = JAVASCRIPT_SYNTAX
            .fault("const a = 1;\nfunction f( {\n")
            .unwrap();
        assert!(fault.starts_with("line 2"), "{fault}");
    }
}
