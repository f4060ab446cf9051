//! Python: tree-sitter for its syntax, pytest for its tests. Where the interpreter
//! itself knows better (faults of syntax, syntax trees, examples), a helper script runs
//! in the sandbox.
mod apart;
mod code;
mod compile;
mod consolidate;
mod environment;
mod examples;
mod issue;
mod pytest;
mod reported;
mod script;
mod stream;
mod trace;
mod unittest;
mod xml;

pub use compile::compile_faults;
pub use consolidate::{SUITE_FILE, consolidate};
pub use issue::issue_examples;
pub use trace::trace;
pub use xml::parse_junit;

use super::{
    ChangedFile, Definition, Example, LangError, Language, LineStart, Needs, Runner, RunnerLimits,
    SymbolKind, Syntax, TestCommands, TestRole, is_skipped,
};
use crate::record::TestOutcome;
use crate::workspace::{CommandEnd, Limits, Sandbox};
use pytest::PytestRunner;
use regex::Regex;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;
use tree_sitter::Node;

/// Files that steer pytest, wherever they stand.
const PYTEST_FILES: [&str; 2] = ["conftest.py", "pytest.ini"];
/// Files at the root that may steer pytest.
const ROOT_CONFIGS: [&str; 6] = [
    ".pytest.ini",
    "pytest.toml",
    ".pytest.toml",
    "tox.ini",
    "setup.cfg",
    "pyproject.toml",
];

/// An encoding's declaration (PEP 263).
static DECLARATION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^#.*?coding[:=][ \t]*([-_.a-zA-Z0-9]+)").expect("a valid pattern")
});
/// Two lines of comments are shorter.
const DECLARATION_BYTES_MAX: usize = 4_096;

/// Prints what is wrong with a file, if it is no Python. Reads bytes, so that a file's
/// own encoding line counts. Speaks Python 3.6, as the interpreter under test runs it.
const SYNTAX_CHECK: &str = "import ast,sys\ntry:\n ast.parse(open(sys.argv[1],'rb').read())\nexcept SyntaxError as e:\n print(f'line {e.lineno}: {e.msg}: {(e.text or str()).strip()}')\n sys.exit(1)\nexcept ValueError as e:\n print(e)\n sys.exit(1)\n";
/// Seconds that such a check may take.
const SYNTAX_CHECK_S_MAX: u64 = 20;

static SYNTAX: Syntax = Syntax {
    grammar: tree_sitter_python::LANGUAGE,
    definition,
    wrappers: &["decorated_definition"],
    leading: &[],
    imports: &[
        "import_statement",
        "import_from_statement",
        "future_import_statement",
    ],
    comments: &["comment"],
    strings: &["string"],
    brackets: "([{",
    is_indented: true,
    method_frame: None,
};

fn definition<'a>(node: Node<'_>, text: &'a str) -> Option<Definition<'a>> {
    match node.kind() {
        "function_definition" => Definition::named(node, text, SymbolKind::Function),
        "class_definition" => Definition::named(node, text, SymbolKind::Type),
        _ => None,
    }
}

pub(super) struct Python;

impl Language for Python {
    fn name(&self) -> &'static str {
        "Python"
    }

    fn fence(&self) -> &'static str {
        "python"
    }

    fn owns(&self, path: &str) -> bool {
        path.ends_with(".py")
    }

    fn syntax(&self) -> Option<&'static Syntax> {
        Some(&SYNTAX)
    }

    /// PEP 263: a comment on the first line, or on the second behind a comment or nothing.
    fn declared_encoding(&self, text: &[u8]) -> Option<String> {
        let head = &text[..text.len().min(DECLARATION_BYTES_MAX)];
        let head = String::from_utf8_lossy(head);
        let head = head.replace("\r\n", "\n").replace('\r', "\n");
        for line in head.lines().take(2) {
            let line = line.trim_start_matches([' ', '\t', '\u{c}']);
            if let Some(declared) = DECLARATION.captures(line) {
                return Some(declared[1].to_owned());
            }
            if !line.is_empty() && !line.starts_with('#') {
                return None;
            }
        }
        None
    }

    fn opening_word(&self, kind: SymbolKind) -> &'static str {
        match kind {
            SymbolKind::Function => "def",
            SymbolKind::Type => "class",
        }
    }

    /// `...`, `pass`, or comments.
    fn is_stub(&self, definition: &str) -> bool {
        let starts = SYNTAX.line_starts(definition);
        let Some(symbol) = SYNTAX.symbols(definition).into_iter().next() else {
            return false;
        };
        let body = definition.lines().enumerate().skip(symbol.header + 1);
        let mut statements = body.filter(|(at, line)| {
            starts[*at] == LineStart::Statement
                && !line.trim_start().starts_with(['"', '\''])
                && !matches!(without_comment(line), "..." | "pass")
        });
        let inline = definition.lines().nth(symbol.header).is_some_and(|header| {
            let header = without_comment(header);
            let ends = [":", "(", ",", "...", "pass"];
            !ends.iter().any(|end| header.ends_with(end))
        });
        statements.next().is_none() && !inline
    }

    fn is_method(&self, definition: &str) -> bool {
        let Some((_, params)) = definition.split_once('(') else {
            return false;
        };
        let first = params.trim_start();
        first.starts_with("self") || first.starts_with("cls")
    }

    /// One entry a name: `from a import b`.
    fn imported(&self, statement: &str) -> BTreeSet<String> {
        let statement = statement.replace('\n', " ").replace(['(', ')', '\\'], " ");
        let statement = statement.split('#').next().unwrap_or_default();
        let (prefix, list) = statement.split_once("import ").unwrap_or((statement, ""));
        let names = list.split(',').map(str::trim).filter(|n| !n.is_empty());
        names
            .map(|name| format!("{}import {name}", prefix.trim_start()))
            .collect()
    }

    fn module_name<'a>(&self, path: &'a str) -> Option<&'a str> {
        let module = path.strip_suffix(".py")?;
        let module = module.strip_suffix("/__init__").unwrap_or(module);
        module.rsplit('/').next()
    }

    /// Behind the docstring.
    fn first_statement(&self, text: &str) -> usize {
        let lines: Vec<&str> = text.lines().collect();
        let starts = SYNTAX.line_starts(text);
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

    /// As the interpreter under test has it.
    fn fault(&self, file: &ChangedFile<'_>) -> Result<Option<String>, LangError> {
        let limits = Limits {
            wall_s_max: SYNTAX_CHECK_S_MAX,
            ..file.limits
        };
        let argv = ["python3", "-I", "-c", SYNTAX_CHECK, file.path];
        let output = file.sandbox.run(file.dir, &argv, &limits)?;
        Ok(match output.end {
            CommandEnd::Exited(0) => None,
            _ => Some(output.text.trim().to_string()),
        })
    }

    /// Of its syntax tree, strings that stand alone left out.
    fn code_digests(
        &self,
        sandbox: &Sandbox,
        dir: &Path,
        files: &[String],
    ) -> Result<Vec<Option<String>>, LangError> {
        code::digests(sandbox, dir, files)
    }

    fn test_role(&self, path: &str) -> TestRole {
        let mut folders: Vec<&str> = path.split('/').collect();
        let name = folders.pop().unwrap_or(path);
        let stem = name.strip_suffix(".py").unwrap_or_default();
        let is_named = stem.starts_with("test_") || stem.ends_with("_test") || stem == "tests";
        let is_foreign = folders.iter().any(|f| f.starts_with('.') || is_skipped(f));
        if is_named && !is_foreign {
            TestRole::Target
        } else if is_foreign {
            TestRole::None
        } else if PYTEST_FILES.contains(&name)
            || folders.contains(&"tests")
            || folders.first() == Some(&"test")
        {
            TestRole::Support
        } else if folders.is_empty() && ROOT_CONFIGS.contains(&name) {
            TestRole::Config
        } else {
            TestRole::None
        }
    }

    fn skipped_dirs(&self) -> &'static [&'static str] {
        &[
            ".tox",
            ".nox",
            ".venv",
            "site-packages",
            "__pycache__",
            ".pytest_cache",
            ".mypy_cache",
            ".ruff_cache",
            ".eggs",
        ]
    }

    fn product_dirs(&self) -> &'static [(&'static str, &'static [&'static str])] {
        const ENVIRONMENT: &[&str] = &["pyvenv.cfg", "conda-meta", "Scripts"];
        const SETUPTOOLS: &[&str] = &["lib", "lib.*", "bdist.*", "temp.*", "scripts-*"];
        &[
            ("build", SETUPTOOLS),
            ("env", ENVIRONMENT),
            ("venv", ENVIRONMENT),
        ]
    }

    fn leftovers(&self) -> &'static [&'static str] {
        &[".coverage", ".hypothesis", "*.egg-info", "*.pyc", "htmlcov"]
    }

    fn test_commands(&self) -> TestCommands {
        TestCommands {
            phrases: &["pytest", "py.test", "unittest"],
            failed: &[1, 2],
            missing: "No module named pytest",
        }
    }

    fn with_junit(&self, command: &str, xml: &str) -> Option<String> {
        // The command may change its directory: the place is absolute.
        command.contains("pytest").then(|| {
            format!(
                "EGSS_JUNIT=\"$PWD/{xml}\"; export EGSS_JUNIT; {command} --junitxml=\"$EGSS_JUNIT\""
            )
        })
    }

    fn read_junit(&self, xml: &str, dir: &Path) -> Option<Vec<TestOutcome>> {
        parse_junit(xml, dir)
    }

    fn module_of(&self, path: &str) -> Option<String> {
        unittest::module_of(path)
    }

    fn read_verbose(
        &self,
        output: &str,
        file_of: &dyn Fn(&str) -> Option<String>,
    ) -> Vec<TestOutcome> {
        unittest::read_verbose(output, file_of)
    }

    fn is_project(&self, files: &[String]) -> bool {
        let is_target = |path: &String| self.test_role(path) == TestRole::Target;
        files
            .iter()
            .any(|path| is_target(path) && path != SUITE_FILE)
    }

    fn usual_test_command(&self, files: &[String]) -> Option<&'static str> {
        let has = |name: &str| files.iter().any(|path| path == name);
        if has("manage.py") {
            Some("python manage.py test")
        } else if has("tests/runtests.py") {
            Some("python tests/runtests.py")
        } else if has("tox.ini") {
            Some("tox")
        } else {
            has("setup.py").then_some("python -m unittest")
        }
    }

    fn environment(&self, dir: &Path, files: &[String]) -> Result<Option<Needs>, LangError> {
        Ok(Some(Needs {
            environment: environment::environment(dir, files),
            ..Needs::default()
        }))
    }

    fn runner<'a>(
        &self,
        sandbox: &'a Sandbox,
        limits: RunnerLimits,
        files: &[String],
    ) -> Result<Option<Box<dyn Runner + 'a>>, LangError> {
        Ok(Some(Box::new(PytestRunner::new(sandbox, limits, files)?)))
    }

    fn example(&self) -> Example {
        Example {
            path: "shapes.py",
            symbol: "area",
            code: "def area(width, height):\n    return width * height",
        }
    }
}

fn without_comment(line: &str) -> &str {
    line.split('#').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::Symbol;

    fn symbols(text: &str) -> Vec<Symbol> {
        Python.symbols(text)
    }

    const FILE: &str = r#"import os
from a import (
    b,
)

X = """
def not_me():
    pass
"""


@cache
@other(
    1,
)
def first(a,
    b):
    """Doc.

def nor_me(): at the margin, in a string
    """
    def inner():
        return 1
    return inner()  # tail
    # a comment of the body

# a comment of the file
class Shape:
    side = 2

    @property
    def area(self):
        return self.side ** 2

    @area.setter
    def area(self, value):
        self.side = value

    async def wait(self): await x


if X:
    def late(): return "}"
"#;

    fn named(qualified: &str) -> Vec<Symbol> {
        let found = symbols(FILE).into_iter();
        found.filter(|s| s.qualified == qualified).collect()
    }

    #[test]
    fn definitions_are_found_with_their_whole_extent() {
        let names: Vec<_> = symbols(FILE).into_iter().map(|s| s.qualified).collect();
        assert_eq!(
            names,
            [
                "first",
                "first.inner",
                "Shape",
                "Shape.area",
                "Shape.area",
                "Shape.wait",
                "late"
            ]
        );
        let lines: Vec<&str> = FILE.lines().collect();
        let first = &named("first")[0];
        assert_eq!(lines[first.lines.start], "@cache");
        assert_eq!(lines[first.header], "def first(a,");
        assert_eq!(lines[first.lines.end - 1], "    # a comment of the body");
        let shape = &named("Shape")[0];
        assert_eq!(
            lines[shape.lines.end - 1],
            "    async def wait(self): await x"
        );
        let area = &named("Shape.area")[1];
        assert_eq!(lines[area.lines.start], "    @area.setter");
        assert_eq!((area.indent.as_str(), area.is_local), ("    ", false));
        assert!(named("first.inner")[0].is_local);
        assert_eq!(named("late")[0].lines.len(), 1);
    }

    #[test]
    fn imports_span_their_continued_lines() {
        assert_eq!(SYNTAX.imports(FILE), [0..1, 1..4]);
    }

    #[test]
    fn a_file_that_does_not_compile_is_read_all_the_same() {
        let text = "def f(:\n    return 'x\n\n\ndef g():\n    pass\n";
        assert!(symbols(text).iter().any(|symbol| symbol.name == "g"));
        assert!(symbols("").is_empty());
    }

    #[test]
    fn what_a_file_is_to_the_tests_follows_from_its_path() {
        let cases = [
            ("tests/test_a.py", TestRole::Target),
            ("pkg/util_test.py", TestRole::Target),
            ("pkg/tests.py", TestRole::Target),
            (".venv/test_b.py", TestRole::None),
            ("node_modules/x/test_x.py", TestRole::None),
            ("tests/data.json", TestRole::Support),
            ("conftest.py", TestRole::Support),
            ("pkg/sub/conftest.py", TestRole::Support),
            ("pyproject.toml", TestRole::Config),
            ("pkg/pyproject.toml", TestRole::None),
            ("pkg/latest.py", TestRole::None),
            ("django/test/client.py", TestRole::None),
        ];
        for (path, role) in cases {
            assert_eq!(Python.test_role(path), role, "{path}");
        }
    }
}
