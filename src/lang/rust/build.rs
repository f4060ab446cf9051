//! Cargo's builds: what is at fault in one that fails, and what makes cargo build
//! another tree.
use super::suite::{RUST_SUITE_FILE, modules};
use crate::lang::seed::set_time;
use crate::lang::{LangError, list_files};
use serde::Deserialize;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

/// Lines of a compiler's error that are kept.
const ERROR_LINES_MAX: usize = 4;

/// Makes every file of `dir` but those in `private` newer than any build
/// before: cargo goes by times, and this may be another tree than the last.
pub(super) fn renew(dir: &Path, private: &Path) -> Result<(), LangError> {
    let now = SystemTime::now();
    for path in list_files(dir)? {
        let path = dir.join(path);
        let is_plain = fs::symlink_metadata(&path)
            .is_ok_and(|meta| meta.is_file() && !meta.permissions().readonly());
        if is_plain && !path.starts_with(private) {
            set_time(&path, now).map_err(|source| LangError::io("touch", &path, source))?;
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct Line {
    reason: String,
    message: Option<Message>,
}

#[derive(Deserialize)]
struct Message {
    level: String,
    message: String,
    spans: Vec<Span>,
}

#[derive(Deserialize)]
struct Span {
    file_name: String,
    line_start: usize,
    is_primary: bool,
    expansion: Option<Box<Expansion>>,
}

#[derive(Deserialize)]
struct Expansion {
    span: Span,
}

impl Span {
    /// The line in the suite that this is about: of what a macro was called
    /// with, or of its call.
    fn suite_line(&self) -> Option<usize> {
        match self.file_name == RUST_SUITE_FILE {
            true => Some(self.line_start),
            false => self.expansion.as_ref()?.span.suite_line(),
        }
    }
}

/// The modules of `suite` in which `messages` (cargo's, as JSON, a line each)
/// see an error, each with the first one.
pub(super) fn faulty_modules(messages: &str, suite: &str) -> Vec<(String, String)> {
    let modules = modules(suite);
    let mut found: Vec<(String, String)> = Vec::new();
    let lines = messages.lines().filter(|line| line.starts_with('{'));
    for line in lines.filter_map(|line| serde_json::from_str::<Line>(line).ok()) {
        let Some(message) = line.message else {
            continue;
        };
        if line.reason != "compiler-message" || message.level != "error" {
            continue;
        }
        let primary = message.spans.iter().filter(|span| span.is_primary);
        for at in primary.filter_map(Span::suite_line) {
            let module = modules
                .iter()
                .find(|(_, first, last)| (*first..=*last).contains(&at));
            if let Some((name, _, _)) = module
                && !found.iter().any(|(known, _)| known == name)
            {
                let why = format!("does not compile: {}", message.message);
                found.push(((*name).to_owned(), why));
            }
        }
    }
    found
}

/// The first error in a compiler's output, cut to a few lines.
pub(super) fn error_lines(text: &str) -> Option<String> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with("error"));
    let first = lines.next()?;
    let rest = lines.take_while(|line| !line.trim().is_empty());
    let kept: Vec<&str> = [first]
        .into_iter()
        .chain(rest)
        .take(ERROR_LINES_MAX)
        .collect();
    Some(kept.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_laid_to_the_module_that_holds_its_line() {
        let suite =
            "mod source_1 {\nuse tiny::gone;\n} // source_1\nmod source_2 {\nx\n} // source_2\n";
        let span = |file: &str, line: usize, expansion: &str| {
            format!(
                r#"{{"file_name":"{file}","line_start":{line},"is_primary":true,"expansion":{expansion}}}"#
            )
        };
        let message = |level: &str, spans: &str| {
            format!(
                r#"{{"reason":"compiler-message","message":{{"level":"{level}","message":"no gone","spans":[{spans}]}}}}"#
            )
        };
        let own = span(RUST_SUITE_FILE, 2, "null");
        let call = span(
            "/std/macros.rs",
            9,
            &format!(r#"{{"span":{}}}"#, span(RUST_SUITE_FILE, 5, "null")),
        );
        let elsewhere = span("src/lib.rs", 5, "null");
        let text = [
            message("warning", &call),
            "cargo says something".to_owned(),
            message("error", &elsewhere),
            message("error", &own),
        ];
        let found = faulty_modules(&text.join("\n"), suite);
        assert_eq!(
            found,
            [(
                "source_1".to_owned(),
                "does not compile: no gone".to_owned()
            )]
        );
        let found = faulty_modules(&message("error", &call), suite);
        assert_eq!(found[0].0, "source_2");
    }

    #[test]
    fn the_first_error_of_a_build_is_told() {
        let text = "   Compiling tiny\nerror[E0432]: unresolved import\n --> tests/a.rs:1:5\n\nerror: more\n";
        let told = error_lines(text).unwrap();
        assert_eq!(told, "error[E0432]: unresolved import\n --> tests/a.rs:1:5");
        assert_eq!(error_lines("fine"), None);
    }
}
