//! Plans and evaluations over planted tests and patches.
use crate::support::{
    FAULTY, FIXED, Repository, evaluated, folder, limits, python_runner, results, sandbox, source,
};
use egss::base::{BranchId, Deadline, RngKey, SelectBy};
use egss::lang::SUITE_FILE;
use egss::record::{Coverage, SuiteBuilt, SuiteCounts, TestClass, TestResult};
use egss::select::{CandidatePatch, select};
use egss::verify::{Evaluation, Plan, evaluate, gate, is_stated, pass_rate, plan, written_rate};
use egss::workspace::{
    BuildRequest, EnvironmentSpec, EnvironmentStore, Rebuild, SandboxMode, Toolchain,
    build_environment,
};
use std::collections::HashMap;
use std::time::Duration;

fn classes(evaluation: &Evaluation) -> HashMap<&str, TestClass> {
    let classes = evaluation.classified.classes.iter();
    classes.map(|(id, class)| (id.as_str(), *class)).collect()
}

const BASE: &str = "\
def double(x):
    return x + 2


def half(x):
    return x // 2
";

/// What each planted patch makes of the base, and its trajectory's score.
fn planted_patches() -> [(String, f32); 3] {
    let fitted = "    if x == 5:\n        return 11\n    return x * 2";
    let right = BASE.replace("    return x + 2", "    return x * 2");
    [
        // Fitted to the wrong test; the judge likes it best but one.
        (BASE.replace("    return x + 2", fitted), 0.9),
        (right.clone(), 0.8),
        // Breaks what worked.
        (right.replace("x // 2", "x // 2 + 1"), 0.95),
    ]
}

const OWN: &str = "\
from mod import double, half
def test_two(): assert double(2) == 4
def test_half(): assert half(6) == 3
";
const GOOD: &str = "\
from mod import double
def test_good():
    for x in range(10): assert double(x) == x + x
";
const WRONG: &str = "from mod import double\ndef test_wrong(): assert double(5) == 11\n";
const TRIVIAL: &str = "def test_trivial(): assert True\n";
const HANGING: &str = "def test_hanging():\n    while True: pass\n";
const NOT_COMPILING: &str = "def test_broken(:\n";
const ISSUE: &str = "`double` is wrong.\n\n    assert double(3) == 6\n";

/// A test of the outside world, which the harness changes between two runs.
fn flaky(world: &std::path::Path) -> String {
    format!(
        "def test_flaky(): assert open({:?}).read() == 'fair'\n",
        world.join("weather")
    )
}

#[test]
fn patches_are_the_same_code_whatever_they_are_written_like() {
    let repository = Repository::new(&[("mod.py", BASE), ("notes.txt", "a\n")]);
    let sandbox = sandbox();
    let runner = python_runner(&sandbox, limits());
    let bench = repository.bench(&runner);
    let code = |files: &[(&str, &str)]| {
        let tree = repository.tree(files);
        bench.code_of(&tree, &["debug.py".to_owned()]).unwrap()
    };
    let fixed = BASE.replace("x + 2", "x * 2");
    let of_fixed = code(&[("mod.py", &fixed)]);
    assert!(of_fixed.as_ref().is_some_and(|code| !code.is_empty()));
    let remarks = fixed.replace(
        "    return x *",
        "    \"\"\"Twice.\"\"\"\n\n    return x *  ",
    );
    assert_eq!(code(&[("mod.py", &remarks)]), of_fixed);
    assert_eq!(
        code(&[("mod.py", &fixed), ("debug.py", "print(1)\n")]),
        of_fixed
    );
    let none = Some(String::new());
    assert_eq!(code(&[("mod.py", &format!("# Sums.\n{BASE}"))]), none);
    assert_ne!(
        code(&[("mod.py", &BASE.replace("x + 2", "2 * x"))]),
        of_fixed
    );
    // What is no Python counts as it stands, and so does what does not parse.
    let others = [
        code(&[("notes.txt", "b\n")]),
        code(&[("mod.py", "def (\n")]),
    ];
    assert!(others.iter().all(|code| *code != none && *code != of_fixed));
}

#[test]
fn of_planted_tests_and_patches_the_right_patch_wins_and_no_wrong_test_decides() {
    let world = tempfile::tempdir().unwrap();
    std::fs::write(world.path().join("weather"), "fair").unwrap();
    let sandbox = sandbox().with_toolchain(Toolchain {
        roots: vec![world.path().to_owned()],
        ..Toolchain::default()
    });
    let repository = Repository::new(&[("mod.py", BASE), ("tests/test_own.py", OWN)]);
    let texts = planted_patches();
    let patches: Vec<_> = texts
        .iter()
        .zip(0..)
        .map(|((text, _), i)| (BranchId(i), repository.tree(&[("mod.py", text)])))
        .collect();
    let runner = python_runner(&sandbox, limits());
    let bench = repository.bench(&runner);

    let flaky = flaky(world.path());
    let planted = [
        ("the fitted branch's test", WRONG),
        ("another branch's test", GOOD),
        ("a trivial test", TRIVIAL),
        ("a flaky test", &flaky),
        ("a hanging test", HANGING),
        ("a test that does not compile", NOT_COMPILING),
    ];
    let plan = plan(
        &bench,
        &planted.map(|(origin, text)| source(origin, text)),
        ISSUE,
        &[],
    )
    .unwrap();
    std::fs::write(world.path().join("weather"), "foul").unwrap();
    let evaluation = evaluate(&bench, &plan.suite, &plan.base, &patches).unwrap();

    // What does not compile is dropped, and named in the record.
    assert_eq!(plan.suite.dropped.len(), 1);
    let dropped = &plan.suite.dropped[0];
    assert!(
        dropped.starts_with("a test that does not compile: does not parse"),
        "{dropped}"
    );

    let all = classes(&evaluation);
    let class = |name: &str| all[format!("{SUITE_FILE}::{name}").as_str()];
    assert_eq!(class("test_issue_stated_1"), TestClass::Discriminating);
    assert_eq!(class("test_good"), TestClass::Discriminating);
    assert_eq!(class("test_wrong"), TestClass::Discriminating);
    assert_eq!(class("test_trivial"), TestClass::Regression);
    assert_eq!(class("test_hanging"), TestClass::Unsatisfied);
    assert_eq!(all["tests/test_own.py::test_two"], TestClass::Regression);
    assert_eq!(all["tests/test_own.py::test_half"], TestClass::Regression);
    assert_eq!(all.len(), 7);
    let aside = (
        format!("{SUITE_FILE}::test_flaky"),
        "flaky: its result on the base was not the same twice".to_owned(),
    );
    assert_eq!(evaluation.classified.set_aside, [aside]);

    let counts = |passed, failed| SuiteCounts {
        passed,
        failed,
        error: 1,
        total: 8,
        not_run: 0,
    };
    let runs = &evaluation.patches;
    assert_eq!(plan.base.counts, counts(4, 3));
    assert_eq!(runs[0].counts, counts(5, 2), "fails good and flaky");
    assert_eq!(runs[1].counts, counts(5, 2), "fails wrong and flaky");
    assert_eq!(runs[2].counts, counts(4, 3), "fails half, wrong and flaky");

    // The wrong test is one patch's alone: it does not even rank.
    let agreed: Vec<(&str, bool)> = evaluation
        .classified
        .written
        .iter()
        .map(|test| (test.id.rsplit("::").next().unwrap(), test.agreed))
        .collect();
    assert_eq!(
        agreed,
        [
            ("test_wrong", false),
            ("test_good", true),
            ("test_trivial", true)
        ]
    );
    let classified = &evaluation.classified;
    let rates = [0, 1, 2].map(|i| pass_rate(&runs[i], classified).unwrap());
    assert_eq!(rates, [1.0, 1.0, 2.0 / 3.0]);
    let written = [0, 1, 2].map(|i| written_rate(&runs[i], classified).unwrap());
    assert_eq!(written, [0.5, 1.0, 1.0]);
    let gates = [0, 1, 2].map(|i| gate(&runs[i], classified));
    assert_eq!(gates, [true, true, false]);

    let candidates: Vec<CandidatePatch> = patches
        .iter()
        .zip(&texts)
        .zip(runs)
        .map(|(((branch, tree), (_, score)), run)| CandidatePatch {
            branch: *branch,
            patch: repository.diff(tree),
            score: Some(*score),
            pass_rate: pass_rate(run, classified),
            not_run: 0,
            written_rate: written_rate(run, classified),
            entropy_mean_nats: None,
            code: None,
            fault: None,
        })
        .collect();
    let selected = select(SelectBy::Preference, &candidates, &[], RngKey::from_seed(1));
    assert_eq!(selected.branch, Some(BranchId(1)), "{}", selected.reason);
    let order: Vec<u32> = selected.ranking.iter().map(|row| row.branch.0).collect();
    assert_eq!(order, [1, 0, 2]);
}

const COINS: &str = "\
import mod, pytest, random
@pytest.mark.parametrize('i', range(24))
def test_coin(i): assert random.random() < mod.LUCK
";

#[test]
fn a_test_that_a_patch_makes_flaky_is_set_aside_with_the_place() {
    let (plan, evaluation) = evaluated(
        &[("mod.py", "LUCK = 0\n")],
        &[&[("mod.py", "LUCK = 0.5\n")], &[("mod.py", "LUCK = 2\n")]],
        &[source("flaky", COINS)],
        "nothing to see",
    );
    assert_eq!(plan.base.counts.failed, 24);
    let aside = &evaluation.classified.set_aside;
    assert!(!aside.is_empty(), "24 coins fell alike: once in 2^24");
    assert!(
        aside
            .iter()
            .all(|(_, why)| why.contains("branch 0's patch"))
    );
    let classed = classes(&evaluation);
    assert!(
        aside
            .iter()
            .all(|(id, _)| !classed.contains_key(id.as_str()))
    );
    assert_eq!(aside.len() + classed.len(), 24);
}

#[test]
fn a_patch_that_does_not_compile_is_named_and_an_equal_one_is_run_once() {
    let at_import = "class TestBad:\n    x = 1 / 0\n    def test_m(self): pass\n";
    let (plan, evaluation) = evaluated(
        &[
            ("mod.py", FAULTY),
            (
                "tests/test_own.py",
                "from mod import double\ndef test_two(): assert double(2) == 4\n",
            ),
        ],
        &[
            &[("mod.py", FIXED)],
            &[("mod.py", "def double(x)\n")],
            &[("mod.py", FIXED)],
        ],
        &[source("fails at import", at_import)],
        ISSUE,
    );
    let dropped: Vec<&str> = plan.dropped.iter().map(|d| d.origin.as_str()).collect();
    assert_eq!(dropped, ["fails at import"]);
    let origin = "test_issue_stated_1: issue example".to_owned();
    assert_eq!(plan.suite.sources, [origin]);
    assert_eq!(plan.suite.repository_tests, ["tests/test_own.py"]);
    let all = classes(&evaluation);
    // The patch that does not compile takes the repository's own file down.
    assert_eq!(all["tests/test_own.py"], TestClass::Uncollectable);
    assert_eq!(all["tests/test_own.py::test_two"], TestClass::Regression);
    let rate = |i: usize| pass_rate(&evaluation.patches[i], &evaluation.classified);
    assert_eq!(
        (rate(0), rate(1), rate(2)),
        (Some(1.0), Some(0.0), Some(1.0))
    );
    assert_eq!(evaluation.patches[2].branch, Some(BranchId(2)));
    assert_eq!(evaluation.compile_faults.len(), 1);
    let (branch, fault) = &evaluation.compile_faults[0];
    assert_eq!(*branch, BranchId(1));
    assert!(fault.starts_with("mod.py:1 does not compile"), "{fault}");
}

const HALF_TESTED: &str = "\
def double(x):
    if x > 100:
        x = x + 0
        return x * 2
    # no line that runs
    return x * 2
";

#[test]
fn coverage_is_the_share_of_the_changed_lines_that_the_suite_runs() {
    let (_, evaluation) = evaluated(
        &[("mod.py", FAULTY)],
        &[
            &[
                ("mod.py", HALF_TESTED),
                ("new.py", "def never():\n    return 1\n"),
            ],
            &[("mod.py", FAULTY), ("notes.txt", "no code")],
        ],
        &[],
        ISSUE,
    );
    // Of `mod.py` the lines 2, 3, 4 and 6, of which 2 and 6 run; of `new.py`
    // both lines, of which none does.
    let expected = Coverage {
        lines: 6,
        covered: 2,
    };
    assert_eq!(evaluation.patches[0].coverage, Some(expected));
    let nothing = Coverage::default();
    assert_eq!(evaluation.patches[1].coverage, Some(nothing));
}

const OWN_GOOD: &str = "from mod import double\ndef test_good(): assert double(5) == 10\n";

#[test]
fn a_patch_that_changes_the_tests_is_judged_by_the_bases() {
    let clear = "def pytest_collection_modifyitems(items): items.clear()\n";
    let (plan, evaluation) = evaluated(
        &[("mod.py", FAULTY), ("test_own.py", OWN_GOOD)],
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
    let classified = &evaluation.classified;
    let reported = format!("{SUITE_FILE}::test_issue_reported");
    assert_eq!(
        classified.classes,
        [(reported, TestClass::Discriminating)],
        "the fix changes what the issue reports"
    );
    assert_eq!(classified.set_aside.len(), 1);
    assert!(classified.set_aside[0].1.contains("it holds on the base"));
    assert!(gate(&evaluation.patches[0], classified));
}

#[test]
fn patches_that_were_not_tested_in_time_have_no_run() {
    let sandbox = sandbox().for_one_run();
    let repository = Repository::new(&[("mod.py", BASE), ("tests/test_own.py", OWN)]);
    let runner = python_runner(&sandbox, limits());
    let bench = repository.bench(&runner);
    let plan = plan(&bench, &[], ISSUE, &[]).unwrap();
    let tree = repository.tree(&[("mod.py", "def other():\n    return 1\n")]);
    sandbox.set_deadline(Deadline::within(Duration::ZERO));
    let evaluation = evaluate(&bench, &plan.suite, &plan.base, &[(BranchId(0), tree)]).unwrap();
    assert!(evaluation.patches.is_empty());
}

#[test]
fn a_patch_of_a_compiled_source_is_tested_as_it_was_built() {
    let generated = [("table.src", "x = 1\n"), ("table.py", "x = 1\n")];
    let tests = [(
        "test_a.py",
        "from table import x\ndef test_a(): assert x == 2\n",
    )];
    let repository = Repository::new(&[&generated[..], &tests].concat());
    let kept = tempfile::tempdir().unwrap();
    let copy = folder(&generated);
    let plain = sandbox();
    let spec = EnvironmentSpec {
        rebuild: Some(Rebuild {
            run: "grep -q x table.src && cp table.src table.py".into(),
            when: vec!["*.src".into()],
        }),
        ..EnvironmentSpec::default()
    };
    let request = BuildRequest {
        spec: &spec,
        tree: copy.path(),
        repository: "generated",
        python: plain.python(),
        toolchain: &Toolchain::default(),
        uv: None,
        again: false,
    };
    let store = EnvironmentStore::at(kept.path());
    let environment = build_environment(&store, &request, &mut |_| {}).unwrap();
    let sandbox = environment.sandbox(SandboxMode::Bubblewrap, plain.python());
    let sandbox = sandbox.unwrap();
    let runner = python_runner(&sandbox, limits());
    let bench = repository.bench(&runner);
    let suite = SuiteBuilt {
        repository_tests: vec!["test_a.py".into()],
        ..SuiteBuilt::default()
    };
    let run = |text: &str| {
        let tree = repository.tree(&[("table.src", text)]);
        bench.run_patch(BranchId(1), &tree, &suite).unwrap()
    };
    let (right, fault) = run("x = 2\n");
    assert_eq!((right.counts.passed, fault), (1, None));
    let (_, fault) = run("y = 2\n");
    assert!(
        fault.unwrap().contains("fails"),
        "the build's failure is the patch's"
    );
}

/// django#11206: its example needs settings, which no patch makes.
#[test]
fn an_example_that_a_library_refuses_for_a_reason_that_the_issue_does_not_name_decides_nothing() {
    let lib = "class NotConfigured(Exception): pass\n";
    let code = "from lib import NotConfigured\n\n\ndef shown(x):\n    raise NotConfigured('no settings')\n";
    let repository = Repository::new(&[("lib.py", lib), ("mod.py", code)]);
    let sandbox = sandbox();
    let runner = python_runner(&sandbox, limits());
    let bench = repository.bench(&runner);
    let issue = |why: &str| format!("`shown` is wrong{why}:\n\n    >>> shown(1)\n    'one'\n");
    let planned = |why: &str| plan(&bench, &[], &issue(why), &[]).unwrap();
    let is_decisive = |plan: &Plan| {
        let mut tests = plan.base.tests.iter();
        tests.any(|test| is_stated(&plan.suite, test))
    };
    let unclear = planned("");
    assert!(!is_decisive(&unclear), "{unclear:#?}");
    let told = "it raises NotConfigured on the base, which the issue does not name";
    let dropped = &unclear.suite.dropped;
    assert!(dropped.iter().any(|why| why.contains(told)), "{dropped:?}");
    let named = planned(", it raises NotConfigured");
    assert!(is_decisive(&named), "{named:#?}");
}
