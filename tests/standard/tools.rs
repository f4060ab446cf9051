//! Every tool and every form of `standard`, in one trajectory.
use crate::{Say, call, called, engine, profile, run, write};
use egss::base::ToolForm;
use egss::record::{BranchStatus, StepOutcome};
use serde_json::json;

const CART: &str = "class Cart:\n    def total(self, prices):\n        return sum(prices) + 1\n\n\ndef mean(prices):\n    return Cart().total(prices) / len(prices)\n";
const TEST: &str =
    "from cart import Cart\n\n\ndef test_total():\n    assert Cart().total([2, 3]) == 5\n";

fn calls() -> Vec<(ToolForm, Say)> {
    vec![
        (ToolForm::List, call("list", json!({"path": "."}))),
        (ToolForm::View, call("view", json!({"path": "cart.py"}))),
        (
            ToolForm::ViewLines,
            call("view", json!({"path": "cart.py", "start": 2, "end": 3})),
        ),
        (
            ToolForm::ViewSymbol,
            call("view", json!({"path": "cart.py", "symbol": "Cart.total"})),
        ),
        (
            ToolForm::SearchPattern,
            call("search", json!({"pattern": "def \\w+\\("})),
        ),
        (
            ToolForm::SearchFiles,
            call(
                "search",
                json!({"pattern": "sum", "glob": "*.py", "context": 1}),
            ),
        ),
        (
            ToolForm::Write,
            call("write", json!({"path": "notes.txt"})).with_code("wrong\n"),
        ),
        (ToolForm::Undo, call("undo", json!({}))),
        (
            ToolForm::EditLines,
            call("edit", json!({"path": "README.md", "start": 1, "end": 1}))
                .with_code("# A cart\n"),
        ),
        (
            ToolForm::EditHunks,
            call("edit", json!({"path": "README.md"}))
                .with_code("<<<<<<< SEARCH\nIt adds.\n=======\nIt adds up.\n>>>>>>> REPLACE\n"),
        ),
        (
            ToolForm::EditSymbol,
            call("edit", json!({"path": "cart.py", "symbol": "Cart.total"}))
                .with_code("def total(self, prices):\n    return sum(prices)\n"),
        ),
        (
            ToolForm::Run,
            call(
                "run",
                json!({"command": "python3 -m pytest -q -p no:cacheprovider"}),
            ),
        ),
        (ToolForm::Submit, call("submit", json!({}))),
    ]
}

#[test]
fn every_tool_and_form_is_reached_and_the_patch_holds_what_was_kept() {
    let repo = tempfile::tempdir().unwrap();
    write(
        repo.path(),
        &[
            ("README.md", "# Cart\n\nIt adds.\n"),
            ("cart.py", CART),
            ("test_cart.py", TEST),
        ],
    );
    let profile = profile();
    let (forms, says): (Vec<ToolForm>, Vec<Say>) = calls().into_iter().unzip();
    let (mut wanted, mut reached) = (profile.tools.clone(), forms);
    wanted.sort();
    reached.sort();
    assert_eq!(
        reached, wanted,
        "the script calls every form of the profile"
    );
    let out = tempfile::tempdir().unwrap();
    let issue = "`Cart.total` adds one too much.";
    let state = run(
        repo.path(),
        issue,
        &profile,
        engine(says, 60_000),
        out.path(),
    );
    let outcomes: Vec<StepOutcome> = state.steps.iter().map(|step| step.outcome).collect();
    use StepOutcome::*;
    assert_eq!(
        outcomes,
        [
            // Nothing passes on the base, so nothing is checked until the fix.
            Ok,
            Ok,
            Ok,
            Ok,
            Ok,
            Ok,
            Ok,
            Ok,
            Ok,
            Ok,
            Ok,
            TestsPassed,
            Submitted
        ],
        "{:#?}",
        called(&state.steps)
    );
    let ended = state.branches[0].ended.as_ref().unwrap();
    assert_eq!(ended.status, BranchStatus::Submitted);
    for (part, is_there) in [
        ("+        return sum(prices)\n", true),
        ("+# A cart\n", true),
        ("+It adds up.\n", true),
        ("notes.txt", false),
    ] {
        assert_eq!(
            ended.patch.contains(part),
            is_there,
            "{part}: {}",
            ended.patch
        );
    }
    let seen = |form: ToolForm| {
        let at = calls().iter().position(|(f, _)| *f == form).unwrap();
        state.steps[at].observation.as_str()
    };
    assert!(seen(ToolForm::List).contains("3 files below the repository"));
    assert!(seen(ToolForm::ViewLines).contains("2|     def total(self, prices):"));
    assert!(seen(ToolForm::SearchFiles).contains(">    3|         return sum(prices) + 1"));
    assert!(seen(ToolForm::Undo).contains("Taken back: write of step 7."));
    // The record holds the profile as it applies in this context.
    assert_eq!(state.start.profile, profile.in_context(60_000));
}

#[test]
fn undo_goes_back_change_by_change_and_the_last_verdict_with_it() {
    let repo = tempfile::tempdir().unwrap();
    let half = "def half(a):\n    return a\n\n\ndef kept():\n    return 1\n";
    let test = "from half import half, kept\n\n\ndef test_kept():\n    assert kept() == 1\n";
    write(repo.path(), &[("half.py", half), ("test_half.py", test)]);
    let edit =
        |code: &str| call("edit", json!({"path": "half.py", "symbol": "half"})).with_code(code);
    let broken = call("edit", json!({"path": "half.py", "symbol": "kept"}))
        .with_code("def kept():\n    return 2\n");
    let calls = vec![
        edit("def half(a):\n    return a / 3\n"),
        broken,
        call("undo", json!({})),
        call("undo", json!({})),
        edit("def half(a):\n    return a / 2\n"),
        call("submit", json!({})),
    ];
    let out = tempfile::tempdir().unwrap();
    let state = run(
        repo.path(),
        "`half` gives the whole.",
        &profile(),
        engine(calls, 60_000),
        out.path(),
    );
    let trees: Vec<&str> = state.steps.iter().map(|s| s.tree.as_str()).collect();
    assert_eq!(
        state.steps[1].outcome,
        StepOutcome::TestsFailed,
        "{:#?}",
        called(&state.steps)
    );
    assert_eq!(trees[2], trees[0]);
    assert_eq!(trees[3], state.start.base_tree);
    assert!(state.steps[3].observation.contains("edit of step 1"));
    let ended = state.branches[0].ended.as_ref().unwrap();
    assert_eq!(ended.status, BranchStatus::Submitted);
    assert!(state.checks_passed(egss::base::BranchId(0)));
    assert!(ended.patch.contains("+    return a / 2"));
    assert!(!ended.patch.contains("return 2\n"));
}
