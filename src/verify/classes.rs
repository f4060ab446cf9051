//! Section 2.2's classes, and what they count for. Pure.
use crate::record::{SuiteRun, TestClass, TestResult};
use std::collections::{HashMap, HashSet};

type Results<'a> = HashMap<&'a str, TestResult>;

fn results(run: &SuiteRun) -> Results<'_> {
    run.tests
        .iter()
        .map(|test| (test.id.as_str(), test.result))
        .collect()
}

/// The file of an id; the id itself if it names a file.
fn file_of(id: &str) -> &str {
    id.split("::").next().unwrap_or(id)
}

/// Classes every test that occurs in a run, in the order of the base's run and
/// then of the patches'.
///
/// A file that cannot be collected is its id alone (no `::`) and uncollectable.
/// A test that the base does not have counts as failing there if its file was
/// uncollectable there (it imports what a patch adds), and is otherwise
/// unsatisfied: nothing says what it should do. So is one that the base skips.
pub fn classify(base: &SuiteRun, patches: &[SuiteRun]) -> Vec<(String, TestClass)> {
    let on_base = results(base);
    let on_patches: Vec<Results<'_>> = patches.iter().map(results).collect();
    let mut seen = HashSet::new();
    let mut classes = Vec::new();
    for test in [base].into_iter().chain(patches).flat_map(|run| &run.tests) {
        let id = test.id.as_str();
        if seen.insert(id) {
            classes.push((id.to_owned(), class_of(id, &on_base, &on_patches)));
        }
    }
    classes
}

fn class_of(id: &str, on_base: &Results<'_>, on_patches: &[Results<'_>]) -> TestClass {
    if is_file(id) {
        return TestClass::Uncollectable;
    }
    let fails_on_base = match on_base.get(id) {
        Some(TestResult::Passed) => return TestClass::Regression,
        Some(TestResult::Failed | TestResult::Error) => true,
        Some(TestResult::Skipped) => false,
        None => on_base.contains_key(file_of(id)),
    };
    let passes = |run: &Results<'_>| run.get(id) == Some(&TestResult::Passed);
    if fails_on_base && on_patches.iter().any(passes) {
        TestClass::Discriminating
    } else {
        TestClass::Unsatisfied
    }
}

/// An error of a whole file's collection has the file as its id.
fn is_file(id: &str) -> bool {
    id.ends_with(".py") && !id.contains("::")
}

/// Whether tests of a class count in pass rates and the gate.
pub fn is_counted(class: TestClass) -> bool {
    matches!(class, TestClass::Discriminating | TestClass::Regression)
}

/// The counted tests of a run: `(passed, all)`. One that the run does not have
/// (the patch broke its file) or skips is not passed.
fn counted(run: &SuiteRun, classes: &[(String, TestClass)]) -> (usize, usize) {
    let found = results(run);
    let ids = || classes.iter().filter(|(_, class)| is_counted(*class));
    let passed = ids().filter(|(id, _)| found.get(id.as_str()) == Some(&TestResult::Passed));
    (passed.count(), ids().count())
}

/// The share of counted tests that a run passes, in `0..=1`; `None` if none counts.
pub fn pass_rate(run: &SuiteRun, classes: &[(String, TestClass)]) -> Option<f32> {
    let (passed, all) = counted(run, classes);
    (all > 0).then(|| passed as f32 / all as f32)
}

/// Whether a run passes every counted test; true if none counts.
pub fn gate(run: &SuiteRun, classes: &[(String, TestClass)]) -> bool {
    let (passed, all) = counted(run, classes);
    passed == all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::TestOutcome;
    use crate::verify::count;

    fn run(tests: &[(&str, TestResult)]) -> SuiteRun {
        let tests: Vec<TestOutcome> = tests
            .iter()
            .map(|(id, result)| TestOutcome {
                id: (*id).to_owned(),
                result: *result,
                message: String::new(),
                ms: 1,
            })
            .collect();
        SuiteRun {
            branch: None,
            counts: count(&tests),
            tests,
            fault: None,
        }
    }

    use TestResult::{Error, Failed, Passed, Skipped};

    #[test]
    fn each_test_gets_the_class_of_its_results() {
        let base = run(&[
            ("t.py::good", Failed),
            ("t.py::hangs", Error),
            ("t.py::trivial", Passed),
            ("t.py::wrong", Failed),
            ("t.py::skipped", Skipped),
            ("broken.py", Error),
        ]);
        let first = run(&[
            ("t.py::good", Passed),
            ("t.py::hangs", Error),
            ("t.py::trivial", Passed),
            ("t.py::wrong", Failed),
            ("t.py::skipped", Passed),
            ("broken.py", Error),
        ]);
        let second = run(&[
            ("t.py::good", Failed),
            ("t.py::hangs", Passed),
            ("t.py::trivial", Failed),
            ("t.py::wrong", Error),
            ("broken.py", Error),
        ]);
        let classes = classify(&base, &[first.clone(), second.clone()]);
        let class = |id: &str| classes.iter().find(|(name, _)| name == id).unwrap().1;
        assert_eq!(class("t.py::good"), TestClass::Discriminating);
        assert_eq!(class("t.py::hangs"), TestClass::Discriminating);
        assert_eq!(class("t.py::trivial"), TestClass::Regression);
        assert_eq!(class("t.py::wrong"), TestClass::Unsatisfied);
        assert_eq!(class("t.py::skipped"), TestClass::Unsatisfied);
        assert_eq!(class("broken.py"), TestClass::Uncollectable);
        assert_eq!(pass_rate(&first, &classes), Some(2.0 / 3.0));
        assert_eq!(pass_rate(&second, &classes), Some(1.0 / 3.0));
        assert!(!gate(&first, &classes));
    }

    #[test]
    fn a_file_that_only_a_patch_can_import_discriminates() {
        let base = run(&[("t.py", Error)]);
        let patch = run(&[("t.py::new", Passed)]);
        let classes = classify(&base, std::slice::from_ref(&patch));
        assert_eq!(
            classes,
            [
                ("t.py".to_owned(), TestClass::Uncollectable),
                ("t.py::new".to_owned(), TestClass::Discriminating)
            ]
        );
        assert!(gate(&patch, &classes));
    }

    #[test]
    fn a_patch_that_breaks_a_file_fails_its_tests() {
        let base = run(&[("t.py::a", Passed), ("t.py::b", Passed)]);
        let patch = run(&[("t.py", Error)]);
        let classes = classify(&base, std::slice::from_ref(&patch));
        assert_eq!(pass_rate(&patch, &classes), Some(0.0));
        assert!(!gate(&patch, &classes));
    }

    #[test]
    fn where_nothing_counts_there_is_no_rate_and_the_gate_is_open() {
        let base = run(&[("t.py::wrong", Failed)]);
        let classes = classify(&base, std::slice::from_ref(&base));
        assert_eq!(pass_rate(&base, &classes), None);
        assert!(gate(&base, &classes));
    }
}
