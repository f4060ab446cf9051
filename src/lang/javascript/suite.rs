//! The suite of what was written in JavaScript and TypeScript: each source is put at its
//! path and run there.
use super::session::Session;
use crate::lang::bundle::{Part, Placed, parts};
use crate::lang::runner::error_outcome;
use crate::lang::{LangError, TestSource, of_path};
use crate::record::TestOutcome;

/// The consolidated suite's file. No runner takes it for a test.
pub const JAVASCRIPT_SUITE_FILE: &str = "current_issue_tests.js.txt";

impl Session<'_> {
    /// Runs the suite's sources, each at its path; those of one path one after another.
    pub fn run_parts(&self, suite: &str) -> Result<Vec<TestOutcome>, LangError> {
        let mut outcomes = Vec::new();
        let mut left: Vec<(String, Part<'_>)> = Vec::new();
        for part in parts(suite) {
            let new = self.kind.new_file(self.dir);
            left.push((part.path.unwrap_or(new).to_owned(), part));
        }
        while !left.is_empty() {
            let mut round: Vec<(String, Part<'_>)> = Vec::new();
            let mut later = Vec::new();
            for (path, part) in left {
                let is_taken = round.iter().any(|(other, _)| *other == path);
                if is_taken {
                    later.push((path, part))
                } else {
                    round.push((path, part))
                }
            }
            left = later;
            outcomes.extend(self.run_round(&round)?);
        }
        Ok(outcomes)
    }

    fn run_round(&self, round: &[(String, Part<'_>)]) -> Result<Vec<TestOutcome>, LangError> {
        let (mut placed, mut files) = (Vec::new(), Vec::new());
        for (path, part) in round {
            if let Some(place) = Placed::put(self.dir, path, part.text)? {
                placed.push(place);
                files.push(path.clone());
            }
        }
        let ran = self.run_files(&files)?;
        drop(placed);
        let mut outcomes = Vec::new();
        for (path, part) in round {
            let whole = format!("{JAVASCRIPT_SUITE_FILE}::{}", part.name);
            let rest_of = |test: &TestOutcome| {
                let rest = test.id.strip_prefix(path.as_str())?;
                if rest.is_empty() {
                    Some("::*".to_owned())
                } else {
                    rest.strip_prefix("::").map(|r| format!("::{r}"))
                }
            };
            let n_before = outcomes.len();
            outcomes.extend(ran.tests.iter().filter_map(|test| {
                let id = format!("{whole}{}", rest_of(test)?);
                Some(TestOutcome { id, ..test.clone() })
            }));
            if outcomes.len() == n_before {
                let why = match files.contains(path) {
                    true => format!("{} found no test in it", self.kind.name()),
                    false => format!("something stands in the way at {path}"),
                };
                outcomes.push(error_outcome(&format!("{whole}::*"), why, 0));
            }
        }
        Ok(outcomes)
    }
}

/// Why a source cannot be part of the suite.
pub(super) fn fault_of(source: &TestSource) -> Option<String> {
    let marks = ["test(", "it(", "test.", "it.", "describe("];
    if !marks.iter().any(|mark| source.text.contains(mark)) {
        return Some("holds no test".to_owned());
    }
    let as_file = |path: &str| of_path(path).syntax()?.fault(&source.text);
    let fault = match &source.path {
        Some(path) => as_file(path),
        None => as_file("new.ts").and(as_file("new.js")),
    };
    fault.map(|fault| format!("does not parse: {fault}"))
}
