//! The first call views one of the index's likeliest locations, and the model's choice among
//! them is measured exactly.
use crate::{Say, call, run_by, write};
use egss::base::{AgentProfile, GateSignal};
use egss::engine::scripted::ScriptedEngine;
use serde_json::json;

const SHOP: &str = "def total(prices):\n    return sum(prices) + 1\n\n\nclass Cart:\n    def total(self):\n        return total([])\n";
const ISSUE: &str = "The `total` of a cart is 1 too high.";

/// Views a location first, with these probabilities, then writes a file and hands it in.
fn engine(views: &'static [(&'static str, &'static str, f64)]) -> ScriptedEngine {
    let view = |(path, symbol, p): &(&str, &str, f64)| {
        // As the dialect writes it: the choice is measured along these very tokens.
        let call = format!(
            "<tool_call>\n{{\"name\": \"view\", \"arguments\": {{\"path\": \"{path}\", \"symbol\": \"{symbol}\"}}}}\n</tool_call>"
        );
        (call, *p)
    };
    ScriptedEngine::from_policy(move |history| {
        let turn: Vec<u32> = "<tool_response>".bytes().map(u32::from).collect();
        let Say(done) = call("submit", json!({}));
        let note = call("write", json!({ "path": "note.txt" })).with_code("x\n");
        match history.windows(turn.len()).filter(|w| *w == turn).count() {
            0 => views.iter().map(view).collect(),
            1 => vec![(note.0, 1.0)],
            _ => vec![(done, 1.0)],
        }
    })
}

#[test]
fn the_first_call_views_a_location_and_the_choice_has_an_exact_entropy() {
    let dir = tempfile::tempdir().unwrap();
    let repo = dir.path().join("repo");
    write(
        &repo,
        &[("shop.py", SHOP), ("other.py", "def g():\n    pass\n")],
    );
    let engine = engine(&[
        ("shop.py", "total", 0.5),
        ("shop.py", "Cart.total", 0.3),
        ("shop.py", "Cart", 0.1),
    ]);
    let profile = AgentProfile::standard();
    let out = dir.path().join("run");
    let state = run_by("single", &repo, ISSUE, &profile, engine, &out);
    let names: Vec<String> = state
        .start
        .locations
        .iter()
        .map(|l| l.to_string())
        .collect();
    assert!(
        names.contains(&"shop.py::Cart.total".to_owned()),
        "{names:?}"
    );
    // Nothing speaks for `g`.
    assert_eq!(names.len(), 3, "{names:?}");
    let says = "names one of the 3 likeliest locations";
    assert!(state.start.prompt_text.contains(says));

    let first = &state.steps[0];
    let entropy = &first.candidates[0].entropy;
    let location = entropy.location.as_ref().unwrap();
    let p = |name: &str| location.probs.iter().find(|(n, _)| n == name).unwrap().1;
    let expected = [("total", 0.5), ("Cart.total", 0.3), ("Cart", 0.1)];
    for (symbol, share) in expected {
        // Of what the script says of views at all: 0.9.
        let got = p(&format!("shop.py::{symbol}"));
        assert!((got - share / 0.9).abs() < 1e-5, "{symbol}: {got}");
    }
    let nats = |p: f32| -p * p.ln();
    let exact: f32 = [5.0f32 / 9.0, 3.0 / 9.0, 1.0 / 9.0].map(nats).iter().sum();
    assert!((location.entropy_nats - exact).abs() < 1e-5);
    assert_eq!(
        GateSignal::Location.of(entropy),
        Some(location.entropy_nats)
    );
    assert!(
        first.observation.contains("shop.py, lines "),
        "{}",
        first.observation
    );
    // Later calls are like any others.
    assert!(
        state.steps[1..]
            .iter()
            .all(|s| s.candidates[0].entropy.location.is_none())
    );
}

#[test]
fn the_locations_gate_decides_on_the_first_call_alone() {
    let dir = tempfile::tempdir().unwrap();
    let repo = dir.path().join("repo");
    write(&repo, &[("shop.py", SHOP)]);
    let run = |nats: f32, name: &str| {
        let profile = AgentProfile {
            location_gate_nats: nats,
            ..AgentProfile::standard()
        };
        let engine = engine(&[("shop.py", "total", 0.6), ("shop.py", "Cart.total", 0.4)]);
        let out = dir.path().join(name);
        run_by("egss", &repo, ISSUE, &profile, engine, &out)
    };
    // -0.6 ln 0.6 - 0.4 ln 0.4 = 0.67 nats.
    let sure = run(0.7, "sure").steps[0].decision.clone();
    assert!(
        !sure.branch && sure.reason.starts_with("location 0.67 < 0.70"),
        "{sure:?}"
    );
    let state = run(0.6, "unsure");
    let unsure = &state.steps[0].decision;
    assert!(
        unsure.branch && unsure.reason.starts_with("location 0.67 >= 0.60"),
        "{unsure:?}"
    );
    assert_eq!(unsure.threshold_nats, Some(0.6));
}

#[test]
fn a_repository_with_one_place_or_none_is_begun_like_any_other() {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [("one", "def total():\n    return 1\n"), ("none", "")] {
        let repo = dir.path().join(name);
        write(
            &repo,
            &[
                ("a.py", text),
                ("tests/test_a.py", "def test_a():\n    pass\n"),
            ],
        );
        let engine = engine(&[("a.py", "total", 1.0)]);
        let out = dir.path().join(format!("{name}-run"));
        let profile = AgentProfile::standard();
        let state = run_by("single", &repo, ISSUE, &profile, engine, &out);
        assert!(
            state.start.locations.is_empty(),
            "{:?}",
            state.start.locations
        );
        assert!(state.start.prompt_text.contains("Make the first call."));
    }
}
