//! The suite of what was written in Go: each source is put at its path and run alone.
use super::package::{Folder, folder_of_package, modules, package_of, tests_of};
use super::session::{Request, Session};
use super::{Go, Language};
use crate::lang::bundle::{Part, Placed, parts};
use crate::lang::runner::error_outcome;
use crate::lang::{LangError, TestSource, list_files};
use crate::record::TestOutcome;

/// The consolidated suite's file. The go command does not look at it.
pub const GO_SUITE_FILE: &str = "current_issue_tests.go.txt";
/// The name of a source without a path, in the folder of its package.
const NEW_FILE: &str = "current_issue_test.go";

impl Session<'_> {
    /// Runs the suite's sources, each at its path and by itself.
    pub fn run_parts(&self, suite: &str) -> Result<Vec<TestOutcome>, LangError> {
        let mut outcomes = Vec::new();
        for part in parts(suite) {
            let whole = format!("{GO_SUITE_FILE}::{}", part.name);
            match self.run_part(&part)? {
                Ok(tests) => outcomes.extend(tests.into_iter().map(|mut test| {
                    let (_, name) = test.id.split_once("::").unwrap_or(("", "*"));
                    test.id = format!("{whole}::{name}");
                    test
                })),
                Err(why) => outcomes.push(error_outcome(&format!("{whole}::*"), why, 0)),
            }
        }
        Ok(outcomes)
    }

    /// The outcomes of one source, of whose ids only the part behind `::` counts; `Err`
    /// says why there are none.
    fn run_part(&self, part: &Part<'_>) -> Result<Result<Vec<TestOutcome>, String>, LangError> {
        let path = match part.path {
            Some(path) => path.to_owned(),
            None => {
                let package = package_of(part.text).unwrap_or_default();
                format!("{}{NEW_FILE}", folder_of_package(self.dir, package)?)
            }
        };
        let Some(_placed) = Placed::put(self.dir, &path, part.text)? else {
            return Ok(Err(format!("something stands in the way at {path}")));
        };
        let files = list_files(self.dir)?;
        let Some(folder) = Folder::of(&path, &modules(&files)) else {
            return Ok(Err(format!("{path} lies in no Go module")));
        };
        let only: Vec<String> = tests_of(part.text).into_iter().map(str::to_owned).collect();
        let request = Request {
            folder,
            only: &only,
        };
        let (mut tests, n_built) = self.run_module(&[request])?;
        if n_built > 0 {
            return Ok(Ok(tests));
        }
        // A package that does not build is an error of each of its test files.
        let why = tests.pop().map_or_else(String::new, |test| test.message);
        Ok(Err(why))
    }
}

/// Why a source cannot be part of the suite.
pub(super) fn fault_of(source: &TestSource) -> Option<String> {
    if package_of(&source.text).is_none() {
        return Some("has no package clause".to_owned());
    }
    if let Some(fault) = Go.syntax().and_then(|syntax| syntax.fault(&source.text)) {
        return Some(format!("does not parse: {fault}"));
    }
    tests_of(&source.text)
        .is_empty()
        .then(|| "holds no test".to_owned())
}
