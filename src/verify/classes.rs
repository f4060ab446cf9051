//! Section 2.2's classes, and what they count for. Pure.
//!
//! What decides are the repository's own tests and the issue's examples: the
//! pass rate and the gate are of these. A test that a model wrote may be wrong,
//! so it ranks only patches that are equal on the others, and only where more
//! than half of the different patches pass it: one that a patch was fitted to,
//! or that a patch's own author wrote, cannot lift that patch alone.
use super::not_run::{NotRun, containers};
use super::suite::is_of_issue;
use crate::lang::is_container;
use crate::record::{SuiteBuilt, SuiteClassified, SuiteRun, TestClass, TestResult, WrittenTest};
use std::collections::{HashMap, HashSet};

type Results<'a> = HashMap<&'a str, TestResult>;

fn results(run: &SuiteRun) -> Results<'_> {
    run.tests
        .iter()
        .map(|test| (test.id.as_str(), test.result))
        .collect()
}

/// Classes every test that occurs in a run and is not in `set_aside`, in the
/// order of the base's run and then of the patches'.
///
/// What could not be collected (see [`is_container`]) is uncollectable. A test
/// that the base does not have counts as failing there if what it is in was
/// uncollectable there (it needs what a patch adds), and is otherwise
/// unsatisfied: nothing says what it should do. So is one that the base skips.
pub fn classify(
    base: &SuiteRun,
    patches: &[SuiteRun],
    set_aside: &[(String, String)],
) -> Vec<(String, TestClass)> {
    let on_base = results(base);
    let on_patches: Vec<Results<'_>> = patches.iter().map(results).collect();
    let mut seen: HashSet<&str> = set_aside.iter().map(|(id, _)| id.as_str()).collect();
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
    if is_container(id) {
        return TestClass::Uncollectable;
    }
    let fails_on_base = match on_base.get(id) {
        Some(TestResult::Passed) => return TestClass::Regression,
        Some(TestResult::Failed | TestResult::Error) => true,
        Some(TestResult::Skipped) => false,
        None => containers(id).any(|name| on_base.contains_key(name.as_str())),
    };
    let passes = |run: &Results<'_>| run.get(id) == Some(&TestResult::Passed);
    if fails_on_base && on_patches.iter().any(passes) {
        TestClass::Discriminating
    } else {
        TestClass::Unsatisfied
    }
}

/// Which counted tests a model wrote, and whether most patches agree with each.
///
/// `different` are the runs of patches of which no two are the same and none
/// is empty or broken.
pub fn written_tests(
    suite: &SuiteBuilt,
    classes: &[(String, TestClass)],
    different: &[&SuiteRun],
) -> Vec<WrittenTest> {
    let runs: Vec<Results<'_>> = different.iter().map(|run| results(run)).collect();
    let not_run: Vec<NotRun<'_>> = different.iter().map(|run| NotRun::of(run)).collect();
    let passes = |run: &&Results<'_>, id: &str| run.get(id) == Some(&TestResult::Passed);
    classes
        .iter()
        .filter(|(id, class)| is_counted(*class) && is_written(suite, id))
        .map(|(id, _)| {
            let n_run = not_run.iter().filter(|not_run| !not_run.has(id)).count();
            WrittenTest {
                id: id.clone(),
                agreed: 2 * runs.iter().filter(|run| passes(run, id)).count() > n_run,
            }
        })
        .collect()
}

/// In the consolidated suite, and no example of the issue.
fn is_written(suite: &SuiteBuilt, id: &str) -> bool {
    let in_suite = id.strip_prefix(suite.file.as_str());
    in_suite.is_some_and(|rest| rest.starts_with("::")) && !is_of_issue(suite, id)
}

/// Whether tests of a class count at all.
pub fn is_counted(class: TestClass) -> bool {
    matches!(class, TestClass::Discriminating | TestClass::Regression)
}

/// The counted tests that decide: all but those that a model wrote.
fn deciding(classified: &SuiteClassified) -> impl Iterator<Item = &str> {
    let written: HashSet<&str> = classified.written.iter().map(|w| w.id.as_str()).collect();
    let classes = classified.classes.iter();
    classes
        .filter(|(_, class)| is_counted(*class))
        .map(|(id, _)| id.as_str())
        .filter(move |id| !written.contains(id))
}

/// `(passed, all)` of the tests that the run came to. A test that it does not have (the
/// patch broke its file) or skips is not passed.
fn passed<'a>(run: &SuiteRun, ids: impl Iterator<Item = &'a str>) -> (usize, usize) {
    let (found, not_run) = (results(run), NotRun::of(run));
    ids.filter(|id| !not_run.has(id))
        .fold((0, 0), |(passed, all), id| {
            let passes = found.get(id) == Some(&TestResult::Passed);
            (passed + usize::from(passes), all + 1)
        })
}

fn share((passed, all): (usize, usize)) -> Option<f32> {
    (all > 0).then(|| passed as f32 / all as f32)
}

/// How many of the tests that decide a run passes, and how many of them it came to:
/// counted ones that no model wrote.
pub fn counted(run: &SuiteRun, classified: &SuiteClassified) -> (usize, usize) {
    passed(run, deciding(classified))
}

/// The share of the tests that decide which a run passes, in `0..=1`; `None`
/// if there are none.
pub fn pass_rate(run: &SuiteRun, classified: &SuiteClassified) -> Option<f32> {
    share(counted(run, classified))
}

/// The share of written tests that rank which a run passes, in `0..=1`; `None`
/// if there are none. It comes after the pass rate and never against it.
pub fn written_rate(run: &SuiteRun, classified: &SuiteClassified) -> Option<f32> {
    let agreed = classified.written.iter().filter(|test| test.agreed);
    share(passed(run, agreed.map(|test| test.id.as_str())))
}

/// Whether a run passes every test that decides; true if there is none.
pub fn gate(run: &SuiteRun, classified: &SuiteClassified) -> bool {
    let (passed, all) = counted(run, classified);
    passed == all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::count;
    use crate::record::TestOutcome;

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
            counts: count(&tests),
            tests,
            ..SuiteRun::default()
        }
    }

    fn classified(classes: Vec<(String, TestClass)>) -> SuiteClassified {
        SuiteClassified {
            classes,
            ..SuiteClassified::default()
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
        let classes = classify(&base, &[first.clone(), second.clone()], &[]);
        let class = |id: &str| classes.iter().find(|(name, _)| name == id).unwrap().1;
        assert_eq!(class("t.py::good"), TestClass::Discriminating);
        assert_eq!(class("t.py::hangs"), TestClass::Discriminating);
        assert_eq!(class("t.py::trivial"), TestClass::Regression);
        assert_eq!(class("t.py::wrong"), TestClass::Unsatisfied);
        assert_eq!(class("t.py::skipped"), TestClass::Unsatisfied);
        assert_eq!(class("broken.py"), TestClass::Uncollectable);
        let classes = classified(classes);
        assert_eq!(pass_rate(&first, &classes), Some(2.0 / 3.0));
        assert_eq!(pass_rate(&second, &classes), Some(1.0 / 3.0));
        assert!(!gate(&first, &classes));
    }

    #[test]
    fn a_file_that_only_a_patch_can_import_discriminates() {
        let base = run(&[("t.py", Error)]);
        let patch = run(&[("t.py::new", Passed)]);
        let classes = classify(&base, std::slice::from_ref(&patch), &[]);
        assert_eq!(
            classes,
            [
                ("t.py".to_owned(), TestClass::Uncollectable),
                ("t.py::new".to_owned(), TestClass::Discriminating)
            ]
        );
        assert!(gate(&patch, &classified(classes)));
    }

    #[test]
    fn a_part_that_only_a_patch_can_compile_discriminates() {
        let base = run(&[("t.rs::a::x", Passed), ("t.rs::b::*", Error)]);
        let patch = run(&[("t.rs::a::x", Passed), ("t.rs::b::y", Passed)]);
        let classes = classify(&base, std::slice::from_ref(&patch), &[]);
        let class = |id: &str| classes.iter().find(|(name, _)| name == id).unwrap().1;
        assert_eq!(class("t.rs::a::x"), TestClass::Regression);
        assert_eq!(class("t.rs::b::*"), TestClass::Uncollectable);
        assert_eq!(class("t.rs::b::y"), TestClass::Discriminating);
    }

    #[test]
    fn a_written_test_ranks_where_most_patches_pass_it_and_never_decides() {
        let suite = SuiteBuilt {
            file: "s.py".to_owned(),
            ..SuiteBuilt::default()
        };
        let stated = "s.py::test_issue_stated_1";
        let forged = "s.py::TestX::test_issue_stated_1";
        let all = |wrong, right, stated_passes| {
            run(&[
                (stated, stated_passes),
                ("t.py::own", Passed),
                ("s.py::test_wrong", wrong),
                ("s.py::test_right", right),
                (forged, wrong),
            ])
        };
        let base = all(Failed, Failed, Failed);
        let runs = [
            all(Failed, Passed, Passed),
            all(Failed, Passed, Passed),
            all(Passed, Passed, Failed),
        ];
        let classes = classify(&base, &runs, &[]);
        let written = written_tests(&suite, &classes, &runs.each_ref());
        let classified = SuiteClassified {
            written,
            ..classified(classes)
        };
        let agreed: Vec<(&str, bool)> = classified
            .written
            .iter()
            .map(|test| (test.id.as_str(), test.agreed))
            .collect();
        assert_eq!(
            agreed,
            [
                ("s.py::test_wrong", false),
                ("s.py::test_right", true),
                (forged, false)
            ]
        );
        assert!(gate(&runs[0], &classified) && !gate(&runs[2], &classified));
        assert_eq!(pass_rate(&runs[0], &classified), Some(1.0));
        assert_eq!(pass_rate(&runs[2], &classified), Some(0.5));
        assert_eq!(written_rate(&runs[2], &classified), Some(1.0));
    }

    #[test]
    fn a_test_that_is_set_aside_has_no_class() {
        let base = run(&[("t.py::a", Passed), ("t.py::b", Passed)]);
        let aside = [("t.py::b".to_owned(), "a coin".to_owned())];
        let classes = classify(&base, &[], &aside);
        assert_eq!(classes, [("t.py::a".to_owned(), TestClass::Regression)]);
    }

    #[test]
    fn a_patch_that_breaks_a_file_fails_its_tests() {
        let base = run(&[("t.py::a", Passed), ("t.py::b", Passed)]);
        let patch = run(&[("t.py", Error)]);
        let classes = classified(classify(&base, std::slice::from_ref(&patch), &[]));
        assert_eq!(pass_rate(&patch, &classes), Some(0.0));
        assert!(!gate(&patch, &classes));
    }

    /// OpenHands#8960: a run that ends before its tests do.
    #[test]
    fn a_test_that_was_not_run_is_neither_passed_nor_failed() {
        let base = run(&[
            ("t.py::a", Passed),
            ("t.py::b", Passed),
            ("z.py::c", Failed),
        ]);
        let cut = SuiteRun {
            not_run: vec!["t.py::b".to_owned(), "z.py".to_owned()],
            ..run(&[("t.py::a", Passed)])
        };
        let whole = run(&[
            ("t.py::a", Passed),
            ("t.py::b", Failed),
            ("z.py::c", Passed),
        ]);
        let classes = classified(classify(&base, &[cut.clone(), whole.clone()], &[]));
        assert_eq!(counted(&cut, &classes), (1, 1));
        assert!(gate(&cut, &classes) && !gate(&whole, &classes));
        assert_eq!(counted(&whole, &classes), (2, 3));
        let nothing = SuiteRun {
            not_run: vec!["t.py".to_owned(), "z.py".to_owned()],
            ..SuiteRun::default()
        };
        assert_eq!(pass_rate(&nothing, &classes), None);
    }

    #[test]
    fn where_nothing_counts_there_is_no_rate_and_the_gate_is_open() {
        let base = run(&[("t.py::wrong", Failed)]);
        let classes = classified(classify(&base, std::slice::from_ref(&base), &[]));
        assert_eq!(pass_rate(&base, &classes), None);
        assert!(gate(&base, &classes));
    }
}
