//! The lines that `egss_pytest` tells of a run: results come one by one, so that a run that
//! is cut or dies keeps those of the tests that had ended.
use super::xml::failure_message;
use crate::record::{TestOutcome, TestResult};
use serde::Deserialize;
use std::collections::{HashMap, HashSet};

/// One line.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Dropped(String),
    File {
        id: String,
        is_doctest: bool,
    },
    Importing(String),
    #[allow(dead_code, reason = "the name is for a person who reads the file")]
    Imported(String),
    Collected {
        ids: Vec<String>,
        doctests: Vec<String>,
    },
    Started(String),
    Ended(Ended),
    /// A test that failed beside others, once more without them.
    Alone(Ended),
    #[allow(dead_code, reason = "always true")]
    Finished(bool),
}

#[derive(Deserialize)]
struct Ended {
    id: String,
    result: TestResult,
    message: String,
    text: String,
    ms: u64,
}

/// The stream of a session until its end, or until it was killed.
#[derive(Default)]
pub(super) struct Told {
    /// Options of the project that did not hold.
    pub dropped: Vec<String>,
    /// Files that hold tests, where nothing else was asked for, and whether those are examples of
    /// a documentation.
    pub files: Vec<(String, bool)>,
    /// All tests that were to run, in order; `None` where collecting them did not end.
    pub collected: Option<Vec<String>>,
    /// Those of them that are examples of a documentation.
    pub doctests: HashSet<String>,
    /// Outcomes: of tests, and of files that could not be collected. Each id once.
    pub tests: Vec<TestOutcome>,
    /// The file that was being imported, or the test that was being run.
    pub running: Option<Running>,
    /// All tests had their turn.
    pub is_finished: bool,
}

pub(super) enum Running {
    Import(String),
    Test(String),
}

impl Told {
    /// Reads the stream; a last line that breaks off is passed over.
    pub(super) fn read(stream: &[u8]) -> Self {
        let mut told = Self::default();
        let mut places: HashMap<String, usize> = HashMap::new();
        for line in stream.split(|&byte| byte == b'\n') {
            match serde_json::from_slice(line) {
                Ok(Line::Dropped(option)) => told.dropped.push(option),
                Ok(Line::File { id, is_doctest }) => told.files.push((id, is_doctest)),
                Ok(Line::Importing(file)) => told.running = Some(Running::Import(file)),
                Ok(Line::Started(id)) => told.running = Some(Running::Test(id)),
                Ok(Line::Imported(_)) => told.running = None,
                Ok(Line::Collected { ids, doctests }) => {
                    told.collected = Some(ids);
                    told.doctests.extend(doctests);
                }
                Ok(Line::Ended(ended)) => {
                    if matches!(&told.running, Some(Running::Test(id)) if *id == ended.id) {
                        told.running = None;
                    }
                    put(&mut told.tests, &mut places, ended.outcome());
                }
                Ok(Line::Alone(ended)) => {
                    if let Some(&at) = places.get(&ended.id) {
                        told.tests[at] = ended.outcome();
                    }
                }
                Ok(Line::Finished(_)) => told.is_finished = true,
                Err(_) => {}
            }
        }
        told
    }
}

/// A file that two collectors cannot import is one outcome, the worse of the two.
fn put(tests: &mut Vec<TestOutcome>, places: &mut HashMap<String, usize>, new: TestOutcome) {
    match places.get(&new.id) {
        Some(&at) if new.result.badness() > tests[at].result.badness() => tests[at] = new,
        Some(_) => {}
        None => {
            places.insert(new.id.clone(), tests.len());
            tests.push(new);
        }
    }
}

impl Ended {
    fn outcome(self) -> TestOutcome {
        let message = match self.result {
            TestResult::Passed | TestResult::Skipped => String::new(),
            TestResult::Failed | TestResult::Error => {
                failure_message(&self.message, &self.text, &self.id)
            }
        };
        TestOutcome {
            id: self.id,
            result: self.result,
            message,
            ms: self.ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_breaks_off_keeps_what_had_ended() {
        let stream = br#"{"dropped": "--cov"}
{"importing": "a.py"}
{"imported": "a.py"}
{"collected": {"ids": ["a.py::x", "a.py::y", "a.py::z"], "doctests": []}}
{"started": "a.py::x"}
{"ended": {"id": "a.py::x", "result": "failed", "message": "m", "text": "E   assert 0", "ms": 3}}
{"started": "a.py::y"}
{"ended": {"id": "a.py::y", "res"#;
        let told = Told::read(stream);
        assert_eq!(told.dropped, ["--cov"]);
        assert_eq!(told.tests.len(), 1);
        assert_eq!(told.tests[0].message, "assert 0");
        assert!(matches!(told.running, Some(Running::Test(id)) if id == "a.py::y"));
        assert_eq!(told.collected.map(|ids| ids.len()), Some(3));
        assert!(!told.is_finished);
    }

    #[test]
    fn what_a_test_comes_to_alone_counts() {
        let stream = br#"{"ended": {"id": "a.py::x", "result": "failed", "message": "", "text": "E   no", "ms": 0}}
{"ended": {"id": "a.py::y", "result": "failed", "message": "", "text": "E   no", "ms": 0}}
{"alone": {"id": "a.py::x", "result": "passed", "message": "", "text": "", "ms": 2}}
{"finished": true}
"#;
        let told = Told::read(stream);
        let results: Vec<TestResult> = told.tests.iter().map(|test| test.result).collect();
        assert_eq!(results, [TestResult::Passed, TestResult::Failed]);
    }

    #[test]
    fn a_file_that_is_told_twice_is_one_outcome_the_worse() {
        let stream =
            br#"{"ended": {"id": "a.py", "result": "skipped", "message": "", "text": "", "ms": 0}}
{"ended": {"id": "a.py", "result": "error", "message": "", "text": "E   no", "ms": 0}}
{"finished": true}
"#;
        let told = Told::read(stream);
        assert_eq!((told.tests.len(), told.is_finished), (1, true));
        assert_eq!(told.tests[0].result, TestResult::Error);
    }
}
