//! Everything that the program knows of programming languages: which files are
//! whose, their symbols, how code is put into them, and how their tests run.
//!
//! One trait, [`Language`]; one file or folder a language. Code elsewhere asks
//! [`of_path`] and never for a language by its name. Parsing is tree-sitter's
//! ([`Syntax`]); what no language claims is plain text, which can be viewed,
//! searched, and edited by lines and hunks.
//!
//! Edits by symbol (`merge.rs`) and the digest of a patch's code are made of the syntax tree
//! and are the same for all languages. A method of the trait has a default wherever a
//! language can do without. For example, Java has no runner of its own, so `java.rs` is its
//! grammar, its file names and its example.
mod block;
mod bundle;
mod encoding;
mod error;
mod files;
mod go;
mod java;
mod javascript;
mod junit;
mod merge;
mod merged;
mod nearest;
mod private;
mod python;
mod runner;
mod rust;
mod seed;
mod suite;
mod symbol;
mod syntax;
mod text;
mod text_file;
mod token;

pub(crate) use block::{dedent, in_unit, in_unit_of, indented, line_starts, unit};
pub use encoding::Encoding;
pub use error::LangError;
pub use files::{
    is_leftover, is_product, is_skipped, list_files, may_be_product, product_folders,
    usual_test_command,
};
pub use go::GO_SUITE_FILE;
pub use javascript::JAVASCRIPT_SUITE_FILE;
pub use junit::{count, parse_generic};
pub use merge::replace_symbol;
pub use merged::{Merged, origins};
pub use nearest::{nearest_names, nearest_place};
pub(crate) use private::{private_dir, private_name, read_private};
pub use python::{SUITE_FILE, compile_faults, consolidate, issue_examples, parse_junit, trace};
pub(crate) use runner::at_fault;
pub use runner::{
    ChangedLines, Collected, Ran, Runner, RunnerLimits, TEST_CMD_ID, end_of, is_container,
    runner_for,
};
pub use rust::RUST_SUITE_FILE;
pub use suite::{Consolidated, Dropped, IssueExamples, SourceKind, TestSource};
pub use symbol::{Symbol, SymbolKind};
pub use syntax::{Definition, Outline, Syntax};
pub(crate) use syntax::{LineStart, TAB_WIDTH, indent_width};
pub use text_file::TextFile;
pub use token::TokenKind;

use crate::record::TestOutcome;
use crate::workspace::{CommandEnd, EnvironmentSpec, Limits, Sandbox, Toolchain};
use std::collections::BTreeSet;
use std::path::Path;

/// Every language, plain text last. A file belongs to the first that owns it.
const LANGUAGES: &[&dyn Language] = &[
    &python::Python,
    &rust::Rust,
    &javascript::JAVASCRIPT,
    &javascript::TYPESCRIPT,
    &javascript::TSX,
    &go::Go,
    &java::Java,
    &text::Text,
];

/// Every language, plain text last.
pub fn all() -> impl Iterator<Item = &'static dyn Language> {
    LANGUAGES.iter().copied()
}

/// The language that a file is written in, by its path.
pub fn of_path(path: &str) -> &'static dyn Language {
    let owner = all().find(|language| language.owns(path));
    owner.expect("plain text owns every file")
}

/// The language of most of a repository's code; plain text where there is none. Of
/// equals the first in the list.
pub fn of_repository<'a>(paths: impl Iterator<Item = &'a str>) -> &'static dyn Language {
    let mut counts = vec![0usize; LANGUAGES.len()];
    for path in paths {
        let owner = LANGUAGES.iter().position(|language| language.owns(path));
        counts[owner.expect("plain text owns every file")] += 1;
    }
    let code = LANGUAGES
        .iter()
        .zip(counts)
        .filter(|(l, n)| l.is_code() && *n > 0);
    // The first of the largest: `max_by_key` would take the last.
    let most = code.reduce(|best, next| if next.1 > best.1 { next } else { best });
    most.map_or(&text::Text, |(language, _)| *language)
}

/// The needs of a repository that is to be installed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    pub environment: EnvironmentSpec,
    /// The programs of the machine that its install commands call.
    pub toolchain: Toolchain,
}

/// The needs of the repository at `dir`: as the first language says whose project it is.
/// `None` where nothing says what it needs.
pub fn needs_of(dir: &Path) -> Result<Option<Needs>, LangError> {
    let files = list_files(dir)?;
    let project = all().find(|language| language.is_project(&files));
    let mut needs = match project {
        Some(language) => language.environment(dir, &files)?,
        None => None,
    };
    let name = dir.canonicalize().ok();
    let name = name.as_deref().and_then(Path::file_name);
    if let (Some(needs), Some(name)) = (&mut needs, name) {
        needs.environment.name = name.to_string_lossy().into_owned();
    }
    Ok(needs)
}

/// True for a file that tests, or helps tests, by its language's own naming.
pub fn is_test(path: &str) -> bool {
    match of_path(path).test_role(path) {
        TestRole::Target | TestRole::Support => true,
        TestRole::Config | TestRole::None => false,
    }
}

/// True for a file that belongs to the tests rather than to the code they test: a patch
/// is judged by the base's version of it.
pub fn is_test_side(path: &str) -> bool {
    all().any(|language| language.test_role(path) != TestRole::None)
}

/// Whether a command that the model ran was a run of tests that came to an end, and if
/// so whether all passed.
pub fn tests_passed(command: &str, end: CommandEnd, output: &str) -> Option<bool> {
    let CommandEnd::Exited(status) = end else {
        return None;
    };
    all().find_map(|language| {
        let tests = language.test_commands();
        let lacks_runner = !tests.missing.is_empty() && output.contains(tests.missing);
        let has_ended = status == 0 || (tests.failed.contains(&status) && !lacks_runner);
        (tests.are_in(command) && has_ended).then_some(status == 0)
    })
}

/// The part of a file in its repository's tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestRole {
    /// Its tests are run.
    Target,
    /// Helps or feeds tests.
    Support,
    /// Steers the test runner.
    Config,
    /// Is no part of the tests.
    None,
}

/// Commands that run tests, and how they end.
#[derive(Clone, Copy, Debug, Default)]
pub struct TestCommands {
    /// Words that stand in a row in such a command: `go test`.
    pub phrases: &'static [&'static str],
    /// Exit statuses that mean that tests ran, or were to run, and failed.
    pub failed: &'static [i32],
    /// The output of a command whose runner is not installed.
    pub missing: &'static str,
}

impl TestCommands {
    fn are_in(&self, command: &str) -> bool {
        let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-');
        let words: Vec<&str> = command
            .split(|c| !is_word(c))
            .filter(|w| !w.is_empty())
            .collect();
        let installs = words.contains(&"install");
        let stands = |phrase: &&str| {
            let phrase: Vec<&str> = phrase.split(' ').collect();
            words.windows(phrase.len()).any(|window| window == phrase)
        };
        !installs && self.phrases.iter().any(stands)
    }
}

/// A small function for the prompt's example of an edit: it adds width and height where
/// it should multiply them, and this is the code that does, the whole of its file.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    pub path: &'static str,
    pub symbol: &'static str,
    pub code: &'static str,
}

impl Example {
    /// The line that is wrong, and what it should be, without line ends.
    pub fn change(&self) -> (String, &'static str) {
        let right = self.code.lines().find(|line| line.contains(" * "));
        let right = right.expect("an example multiplies");
        (right.replace(" * ", " + "), right)
    }
}

/// A changed file, where it can be looked at.
pub struct ChangedFile<'a> {
    pub sandbox: &'a Sandbox,
    /// The workspace, which holds the file as it is now.
    pub dir: &'a Path,
    pub path: &'a str,
    /// The text before the change; `None` for a new file.
    pub before: Option<&'a str>,
    pub after: &'a str,
    pub limits: Limits,
}

/// A programming language.
pub trait Language: Sync {
    /// For prompts and messages: `Python`.
    fn name(&self) -> &'static str;
    /// The label of a fenced block of its code; empty for plain text.
    fn fence(&self) -> &'static str;
    /// True for a file of this language, by its path.
    fn owns(&self, path: &str) -> bool;
    /// Its syntax; `None` for plain text.
    fn syntax(&self) -> Option<&'static Syntax>;

    /// The name of the encoding that a file without a byte order mark declares. `text` is in any
    /// encoding that has ASCII's characters where ASCII has them.
    fn declared_encoding(&self, _text: &[u8]) -> Option<String> {
        None
    }

    /// False for plain text.
    fn is_code(&self) -> bool {
        self.syntax().is_some()
    }

    /// Functions and types of a file, in its order.
    fn symbols(&self, text: &str) -> Vec<Symbol> {
        self.syntax()
            .map_or(Vec::new(), |syntax| syntax.symbols(text))
    }

    /// The first words of a definition, for a message: `def`.
    fn opening_word(&self, _: SymbolKind) -> &'static str {
        "first"
    }

    /// True for a definition whose body says nothing: it stands for one left as it is.
    fn is_stub(&self, _definition: &str) -> bool {
        false
    }

    /// True for a definition given without its type that belongs into one.
    fn is_method(&self, _definition: &str) -> bool {
        false
    }

    /// The names that an import statement brings, one entry each. Equal entries are the same.
    fn imported(&self, statement: &str) -> BTreeSet<String> {
        let words: Vec<&str> = statement.split_whitespace().collect();
        BTreeSet::from([words.join(" ")])
    }

    /// The name by which other files import this one: its last part.
    fn module_name<'a>(&self, path: &'a str) -> Option<&'a str> {
        let name = path.rsplit('/').next().unwrap_or(path);
        self.is_code()
            .then(|| name.split('.').next().unwrap_or(name))
    }

    /// The line behind a file's opening comments, where a first import goes.
    fn first_statement(&self, text: &str) -> usize {
        let Some(syntax) = self.syntax() else {
            return 0;
        };
        let starts = syntax.line_starts(text);
        let mut statements = starts.iter();
        statements
            .position(|s| *s == LineStart::Statement)
            .unwrap_or(0)
    }

    /// The fault that keeps a changed file from being parsed; `None` where nothing does, or where
    /// it was no better before.
    fn fault(&self, file: &ChangedFile<'_>) -> Result<Option<String>, LangError> {
        let Some(syntax) = self.syntax() else {
            return Ok(None);
        };
        let before = file.before.map_or(0, |text| syntax.n_faults(text));
        let is_worse = syntax.n_faults(file.after) > before;
        Ok(is_worse.then(|| syntax.fault(file.after)).flatten())
    }

    /// A digest of each of `files` of `dir` that is equal for equal code, however it is
    /// laid out and commented; `None` for one that cannot be told. In their order.
    fn code_digests(
        &self,
        _: &Sandbox,
        dir: &Path,
        files: &[String],
    ) -> Result<Vec<Option<String>>, LangError> {
        let of_file = |path: &String| {
            let file = TextFile::read(dir, path)?;
            Some(self.syntax()?.words(file.text()).join("\u{1f}"))
        };
        Ok(files.iter().map(of_file).collect())
    }

    /// The part of a file in the tests, by its path.
    fn test_role(&self, _path: &str) -> TestRole {
        TestRole::None
    }

    /// Folders that by their names hold no source: caches, environments, dependencies.
    fn skipped_dirs(&self) -> &'static [&'static str] {
        &[]
    }

    /// Names of folders that hold products, dependencies or an environment where they hold one
    /// of these (`*` may stand at the end), and source where they do not.
    fn product_dirs(&self) -> &'static [(&'static str, &'static [&'static str])] {
        &[]
    }

    /// Names of files and folders that its tests and tools leave behind; `*` may stand at the
    /// start.
    fn leftovers(&self) -> &'static [&'static str] {
        &[]
    }

    /// Commands that run its tests.
    fn test_commands(&self) -> TestCommands {
        TestCommands::default()
    }

    /// A user's test command with a place for JUnit XML (a path relative to the working
    /// directory), if it is one of this language's runners.
    fn with_junit(&self, _command: &str, _xml: &str) -> Option<String> {
        None
    }

    /// The outcomes in JUnit XML that such a command left. `None`: it is not whole.
    fn read_junit(&self, xml: &str, _dir: &Path) -> Option<Vec<TestOutcome>> {
        parse_generic(xml)
    }

    /// The dotted module of a file of its, relative to where modules begin, where a test command
    /// may take modules.
    fn module_of(&self, _path: &str) -> Option<String> {
        None
    }

    /// The outcomes in the output of a verbose test command that takes modules; `file_of`
    /// gives a module's file.
    fn read_verbose(
        &self,
        _output: &str,
        _file_of: &dyn Fn(&str) -> Option<String>,
    ) -> Vec<TestOutcome> {
        Vec::new()
    }

    /// True for a repository, given by its paths, whose tests this language's runner runs.
    fn is_project(&self, _files: &[String]) -> bool {
        false
    }

    /// The command by which such a repository is usually tested, as far as its files say.
    fn usual_test_command(&self, _files: &[String]) -> Option<&'static str> {
        None
    }

    /// The environment that such a repository asks for, as far as its files at `dir` say.
    /// Errors: `NoRunner` where a tool that would install it is missing.
    fn environment(&self, _dir: &Path, _files: &[String]) -> Result<Option<Needs>, LangError> {
        Ok(None)
    }

    /// The runner of such a repository's tests. Errors: `NoRunner` with what to do.
    fn runner<'a>(
        &self,
        _: &'a Sandbox,
        _: RunnerLimits,
        _files: &[String],
    ) -> Result<Option<Box<dyn Runner + 'a>>, LangError> {
        Ok(None)
    }

    /// The prompt's example in this language.
    fn example(&self) -> Example;
}
