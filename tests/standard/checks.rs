//! A check after an edit within its time: the tests nearest to the change, compared with the base.
use crate::{call, engine, profile, run_within, write};
use egss::base::Budget;
use egss::record::StepOutcome;
use serde_json::json;

const MONEY: &str = "def add(a, b):\n    return a + b\n";
const TEST_MONEY: &str = "from bank.money import add\n\ndef test_add():\n    assert add(1, 2) == 3\n\ndef test_broken_before():\n    assert add(1, 2) == 4\n";
const SLOW: &str = "import time\nfrom shop.cart import total\n\ndef test_slow():\n    time.sleep(3)\n    assert total([]) == 0\n";

/// 28 of 558 tests, the first of the alphabet, were called "28 of 28".
#[test]
fn a_check_runs_the_nearest_tests_and_asks_the_base_about_what_fails() {
    let dir = tempfile::tempdir().unwrap();
    let repo = dir.path().join("repo");
    write(
        &repo,
        &[
            ("shop/__init__.py", ""),
            ("bank/__init__.py", ""),
            ("bank/money.py", MONEY),
            ("shop/cart.py", "def total(prices):\n    return 0\n"),
            ("tests/test_a_cart.py", SLOW),
            ("tests/test_cart.py", SLOW),
            ("tests/test_more_cart.py", SLOW),
            ("tests/test_late_cart.py", SLOW),
            ("tests/test_money.py", TEST_MONEY),
        ],
    );
    let edit = |code: &str| {
        let arguments = json!({ "path": "bank/money.py", "symbol": "add" });
        call("edit", arguments).with_code(code)
    };
    let calls = vec![
        edit("def add(a, b):\n    return a - b\n"),
        call("undo", json!({})),
        edit("def add(a, b):\n    return b + a\n"),
        // Nothing is left to be tested at the end.
        call("undo", json!({})),
        call("list", json!({ "path": "." })),
    ];
    let budget = Budget {
        check_s_max: Some(8),
        steps_max: 12,
        ..Budget::default()
    };
    let out = dir.path().join("run");
    // The issue is about the cart: the time of the base's first run goes to its tests.
    let issue = "`total` in shop/cart.py forgets the prices.";
    let engine = engine(calls, 60_000);
    let state = run_within(budget, "single", &repo, issue, &profile(), engine, &out);
    let base = state.base_run().unwrap();
    assert!(base.counts.not_run > 0, "{base:?}");
    let suite = state.suite.as_ref().unwrap();
    assert_eq!(
        suite.order[0],
        ("it has the changed file's name".to_owned(), 1)
    );
    assert_eq!(suite.repository_tests[0], "tests/test_cart.py");
    assert_eq!(suite.repository_tests[4], "tests/test_money.py");

    let bad = &state.steps[0];
    assert_eq!(bad.outcome, StepOutcome::TestsFailed, "{}", bad.observation);
    let said = &bad.observation;
    // The test that failed before is no test of the change.
    assert!(
        said.contains("test_add") && !said.contains("test_broken_before"),
        "{said}"
    );
    assert!(
        said.contains("others, farther from the change, were not run."),
        "{said}"
    );
    let good = &state.steps[2];
    assert_eq!(
        good.outcome,
        StepOutcome::TestsPassed,
        "{}",
        good.observation
    );
}
