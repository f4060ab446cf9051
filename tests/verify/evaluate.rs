use crate::support::{FAULTY, FIXED, folder, limits, results, sandbox, source, write};
use egss::base::BranchId;
use egss::record::{TestClass, TestResult};
use egss::verify::{
    Bench, Evaluation, Plan, SUITE_FILE, TestRunner, TestSource, evaluate, gate, pass_rate, plan,
};
use egss::workspace::{Shadow, TreeId};
use std::collections::HashMap;

type Files<'a> = &'a [(&'a str, &'a str)];

/// Plans and evaluates patched versions of a repository, which become branches
/// 0, 1, ... in their order.
fn evaluated(
    base: Files<'_>,
    patches: &[Files<'_>],
    sources: &[TestSource],
    issue: &str,
) -> (Plan, Evaluation) {
    let scratch = tempfile::tempdir().unwrap();
    let shadow = Shadow::open(&scratch.path().join("shadow")).unwrap();
    let tree = |changes: Files<'_>| {
        let copy = folder(base);
        write(copy.path(), changes);
        shadow.snapshot(copy.path()).unwrap()
    };
    let base_tree = tree(&[]);
    let patches: Vec<(BranchId, TreeId)> = patches
        .iter()
        .enumerate()
        .map(|(i, changes)| (BranchId(i as u32), tree(changes)))
        .collect();
    let sandbox = sandbox();
    let runner = TestRunner::new(&sandbox, limits(), None).unwrap();
    let bench = Bench {
        shadow: &shadow,
        runner: &runner,
        base: &base_tree,
        scratch: scratch.path(),
    };
    let plan = plan(&bench, sources, issue).unwrap();
    let evaluation = evaluate(&bench, &plan.suite, &plan.base, &patches).unwrap();
    (plan, evaluation)
}

fn classes(evaluation: &Evaluation) -> HashMap<&str, TestClass> {
    let classes = evaluation.classified.classes.iter();
    classes.map(|(id, class)| (id.as_str(), *class)).collect()
}

const OWN: &str = "from mod import double\ndef test_two(): assert double(2) == 4\n";
const GOOD: &str = "from mod import double\ndef test_good(): assert double(5) == 10\n";
const WRONG: &str = "from mod import double\ndef test_wrong(): assert double(5) == 11\n";
const AT_IMPORT: &str = "class TestBad:\n    x = 1 / 0\n    def test_m(self): pass\n";
const HANGING: &str = "def test_hanging():\n    while True: pass\n";
const COINS: &str = "\
import pytest, random
@pytest.mark.parametrize('i', range(24))
def test_coin(i): assert random.random() < 0.5
";

#[test]
fn planted_tests_get_their_classes_and_patches_their_rates() {
    let (plan, evaluation) = evaluated(
        &[("mod.py", FAULTY), ("tests/test_own.py", OWN)],
        &[
            &[("mod.py", FIXED)],
            &[("mod.py", "def double(x):\n    return x - 2\n")],
            &[("mod.py", "def double(x)\n")],
            &[("mod.py", FIXED)],
        ],
        &[
            source("good", GOOD),
            source("wrong", WRONG),
            source("trivial", "def test_trivial(): assert True\n"),
            source("hanging", HANGING),
            source("not compiling", "def test_broken(:\n"),
            source("flaky", COINS),
            source("fails at import", AT_IMPORT),
        ],
        "double is wrong.\n\n    assert double(3) == 6\n",
    );
    let dropped: Vec<&str> = plan.dropped.iter().map(|d| d.origin.as_str()).collect();
    assert_eq!(dropped, ["fails at import", "not compiling"]);
    assert_eq!(plan.suite.repository_tests, ["tests/test_own.py"]);
    let origin = "test_issue_stated_1: issue example".to_owned();
    assert!(plan.suite.sources.contains(&origin));

    let all = classes(&evaluation);
    let class = |name: &str| all[format!("{SUITE_FILE}::{name}").as_str()];
    assert_eq!(class("test_issue_stated_1"), TestClass::Discriminating);
    assert_eq!(class("test_good"), TestClass::Discriminating);
    assert_eq!(class("test_wrong"), TestClass::Unsatisfied);
    assert_eq!(class("test_trivial"), TestClass::Regression);
    assert_eq!(class("test_hanging"), TestClass::Unsatisfied);
    assert_eq!(all["tests/test_own.py::test_two"], TestClass::Regression);
    // The patch that does not compile takes the repository's own file down.
    assert_eq!(all["tests/test_own.py"], TestClass::Uncollectable);
    let is_coin = |id: &str| id.contains("test_coin");
    let flaky = evaluation.uncounted.iter().filter(|(id, _)| is_coin(id));
    let flaky: Vec<&String> = flaky.map(|(id, _)| id).collect();
    assert!(!flaky.is_empty(), "24 coins fell alike: once in 2^24");
    assert!(
        flaky
            .iter()
            .all(|id| all[id.as_str()] == TestClass::Unsatisfied)
    );

    // Coins that fell alike on the base may still count: rates are of the rest.
    let steady = evaluation.classified.classes.iter();
    let steady: Vec<_> = steady.filter(|(id, _)| !is_coin(id)).cloned().collect();
    let rate = |i: usize| pass_rate(&evaluation.patches[i], &steady);
    assert_eq!(rate(0), Some(1.0));
    assert!(gate(&evaluation.patches[0], &steady));
    assert_eq!(rate(1), Some(0.25), "the trivial test of four");
    assert_eq!(rate(2), Some(0.25), "the trivial test of four");
    assert_eq!(rate(3), Some(1.0), "an equal tree");
    assert_eq!(evaluation.patches[3].branch, Some(BranchId(3)));
    assert_eq!(evaluation.compile_faults.len(), 1);
    let (branch, fault) = &evaluation.compile_faults[0];
    assert_eq!(*branch, BranchId(2));
    assert!(fault.starts_with("mod.py:1 does not compile"), "{fault}");
}

#[test]
fn a_patch_that_changes_the_tests_is_judged_by_the_bases() {
    let clear = "def pytest_collection_modifyitems(items): items.clear()\n";
    let (plan, evaluation) = evaluated(
        &[("mod.py", FAULTY), ("test_own.py", GOOD)],
        &[&[
            ("test_own.py", "def test_good(): pass\n"),
            ("conftest.py", clear),
        ]],
        &[],
        "nothing to see",
    );
    assert_eq!(plan.suite.text, "");
    let found = results(&evaluation.patches[0]);
    assert_eq!(found["test_own.py::test_good"], TestResult::Failed);
}

#[test]
fn an_example_that_shows_todays_fault_does_not_count_against_a_fix() {
    let (_, evaluation) = evaluated(
        &[("mod.py", FAULTY)],
        &[&[("mod.py", FIXED)]],
        &[],
        "I ran this:\n\n    >>> double(5)\n    7\n\nand was surprised.\n",
    );
    let all = &evaluation.classified.classes;
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].1, TestClass::Unsatisfied);
    assert_eq!(evaluation.uncounted.len(), 1);
    assert!(gate(&evaluation.patches[0], all));
}
