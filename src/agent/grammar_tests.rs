use super::*;
use crate::agent::{AgentConfig, CallFormat, parse};
use crate::base::{AgentProfile, ToolName};
use crate::decode::GrammarFactory;
use crate::engine::scripted::ByteVocabulary;
use crate::index::RepoFile;
use std::sync::Arc;

fn view() -> RepoView {
    let file = |path: &str, text: &str| RepoFile {
        path: path.into(),
        text: Some(text.into()),
    };
    RepoView {
        files: vec![
            file("README.md", "# Cart\n"),
            file(
                "cart.py",
                "class Cart:\n    def total(self):\n        return 1\n\n\ndef totals():\n    return \"a\\b\"\n",
            ),
        ],
    }
}

/// The small profile's: every list of the view fits.
fn limits() -> AgentLimits {
    AgentProfile::small().limits
}

fn factory(vocabulary: &ByteVocabulary) -> GrammarFactory {
    let mut bytes: Vec<Vec<u8>> = (0..=255u8).map(|b| vec![b]).collect();
    bytes.extend(vocabulary.special().iter().map(|s| s.clone().into_bytes()));
    let special: Vec<bool> = (0..bytes.len()).map(|id| id > 255).collect();
    let tokenize = Arc::new(|text: &[u8]| text.iter().map(|&b| u32::from(b)).collect());
    GrammarFactory::new(bytes, &special, vocabulary.end_of_turn(), tokenize).unwrap()
}

/// True when the whole text follows the grammar and may end there.
fn accepts(lark: &str, text: &str) -> bool {
    accepts_of(&ByteVocabulary::chat_ml(), lark, text)
}

fn accepts_of(vocabulary: &ByteVocabulary, lark: &str, text: &str) -> bool {
    let mut grammar = factory(vocabulary).compile(lark).expect(lark);
    let all = vocabulary.encode_special(text);
    all.iter().all(|&token| grammar.accept(token).is_ok())
        && (grammar.is_finished() || grammar.can_stop())
}

fn call(json: &str) -> String {
    format!("<tool_call>\n{json}\n</tool_call>")
}

fn full() -> String {
    let context = GrammarContext::of(
        &view(),
        &ByteVocabulary::chat_ml(),
        CallFormat::Hermes,
        &limits(),
    );
    lark(
        &ToolSet::full(),
        &Thought::Optional { chars_max: 40 },
        &context,
    )
}

#[test]
fn calls_that_can_be_carried_out_are_accepted_and_parse() {
    let code = "\n```python\ndef totals():\n    return 2\n```";
    let hunk = "\n```python\n<<<<<<< SEARCH\ndef totals():\n    return \"a\\b\"\n=======\n    return 2\n>>>>>>> REPLACE\n```";
    let texts = [
        call(r#"{"name": "view", "arguments": {"path": "cart.py"}}"#),
        call(r#"{"name": "view", "arguments": {"path": "cart.py", "start": 1, "end": 20}}"#),
        call(r#"{"name": "search", "arguments": {"text": "def \"x"}}"#),
        call(r#"{"name": "run", "arguments": {"command": "python3 -m pytest -q"}}"#),
        call(r#"{"name": "submit", "arguments": {}}"#),
        call(r#"{"name": "edit", "arguments": {"path": "cart.py", "symbol": "totals"}}"#) + code,
        call(r#"{"name": "edit", "arguments": {"path": "cart.py", "symbol": "Cart.total"}}"#)
            + code,
        call(r#"{"name": "edit", "arguments": {"path": "cart.py", "start": 6, "end": 7}}"#) + code,
        call(r#"{"name": "edit", "arguments": {"path": "cart.py"}}"#) + hunk,
        call(r#"{"name": "write", "arguments": {"path": "tests/test_new.py"}}"#) + code,
        call(r##"{"name": "edit", "arguments": {"path": "README.md", "start": 1, "end": 1}}"##)
            + "\n```\n# Carts\n```",
    ];
    let lark = full();
    for text in texts {
        for thought in ["", "The sum is off by one.\n"] {
            let text = format!("{thought}{text}");
            assert!(accepts(&lark, &text), "{text}\n{lark}");
            parse(CallFormat::Hermes, &ToolSet::full(), &text).unwrap();
        }
    }
}

#[test]
fn what_does_not_exist_cannot_be_written() {
    let code = "\n```python\nx = 1\n```";
    let lark = full();
    let texts = [
        call(r#"{"name": "view", "arguments": {"path": "carts.py"}}"#),
        call(r#"{"name": "view", "arguments": {"path": "cart.py", "start": 0, "end": 2}}"#),
        call(r#"{"name": "edit", "arguments": {"path": "cart.py", "symbol": "sum"}}"#) + code,
        call(r#"{"name": "edit", "arguments": {"path": "README.md", "symbol": "totals"}}"#) + code,
        call(r#"{"name": "edit", "arguments": {"path": "cart.py"}}"#)
            + "\n```python\n<<<<<<< SEARCH\ndef sums():\n=======\n>>>>>>> REPLACE\n```",
        call(r#"{"name": "edit", "arguments": {"path": "cart.py"}}"#)
            + "\n```python\n<<<<<<< SEARCH\n=======\nx\n>>>>>>> REPLACE\n```",
        call(r#"{"name": "write", "arguments": {"path": "../a.py"}}"#) + code,
        call(r#"{"name": "write", "arguments": {"path": "/a.py"}}"#) + code,
        call(r#"{"name": "write", "arguments": {"path": "a.py"}}"#) + "\n```python\n```",
        call(r#"{"name": "write", "arguments": {"path": "a.py"}}"#),
        call(r#"{"name": "submit", "arguments": {}}"#) + code,
        call(r#"{"name": "commit", "arguments": {}}"#),
        "```python\nx = 1\n```".to_string(),
        "One line.\nAnother line.\n".to_string() + &call(r#"{"name": "submit", "arguments": {}}"#),
        format!(
            "{}\n{}",
            "y".repeat(60),
            call(r#"{"name": "submit", "arguments": {}}"#)
        ),
    ];
    for text in texts {
        assert!(!accepts(&lark, &text), "{text}");
    }
}

#[test]
fn tools_that_are_withheld_cannot_be_called() {
    let context = GrammarContext::of(
        &view(),
        &ByteVocabulary::chat_ml(),
        CallFormat::Hermes,
        &limits(),
    );
    let submit = call(r#"{"name": "submit", "arguments": {}}"#);
    let reduced = lark(
        &ToolSet::full().only(ToolName::changes_files),
        &Thought::None,
        &context,
    );
    assert!(!accepts(&reduced, &submit));
    let standard = lark(
        &AgentConfig::agent(AgentProfile::small()).tools,
        &Thought::None,
        &context,
    );
    assert!(accepts(&standard, &submit));
    assert!(!accepts(&standard, &format!("A thought.\n{submit}")));
    let required = lark(
        &ToolSet::full(),
        &Thought::Required {
            opening: "Cause:".into(),
            chars_max: 80,
        },
        &context,
    );
    let placed = "Cause: `totals` in cart.py gives text.\n";
    assert!(accepts(&required, &format!("{placed}{submit}")));
    assert!(!accepts(&required, &format!("Cause: A thought.\n{submit}")));
    assert!(!accepts(&required, &format!("A thought.\n{submit}")));
    assert!(!accepts(&required, &submit));
}

#[test]
fn an_edit_goes_where_the_thought_says_that_the_cause_is() {
    let required = Thought::Required {
        opening: "Cause:".into(),
        chars_max: 80,
    };
    let context = GrammarContext::of(
        &view(),
        &ByteVocabulary::chat_ml(),
        CallFormat::Hermes,
        &limits(),
    );
    let code = "\n```python\ndef totals():\n    return 2\n```";
    let edit = call(r#"{"name": "edit", "arguments": {"path": "cart.py", "symbol": "totals"}}"#);
    let text = |place: &str| format!("Cause: {place} is off.\n{edit}{code}");
    for tools in [
        AgentConfig::agent(AgentProfile::small()).tools,
        ToolSet::full().only(|tool| tool == ToolName::Edit),
    ] {
        let lark = lark(&tools, &required, &context);
        assert!(accepts(&lark, &text("`totals` in cart.py")), "{lark}");
        assert!(!accepts(&lark, &text("`Cart.total` in cart.py")));
        assert!(!accepts(&lark, &text("It")));
    }
    // Where no function can be named the thought is free.
    let context = GrammarContext::of(
        &RepoView::default(),
        &ByteVocabulary::chat_ml(),
        CallFormat::Hermes,
        &limits(),
    );
    let lark = lark(&ToolSet::full(), &required, &context);
    let submit = call(r#"{"name": "submit", "arguments": {}}"#);
    assert!(accepts(&lark, &format!("Cause: A thought.\n{submit}")));
}

#[test]
fn a_repository_with_too_many_files_takes_any_path() {
    let files = (0..300).map(|n| RepoFile {
        path: format!("m{n}.py"),
        text: Some("def f():\n    pass\n".into()),
    });
    let view = RepoView {
        files: files.collect(),
    };
    let context = GrammarContext::of(
        &view,
        &ByteVocabulary::chat_ml(),
        CallFormat::Hermes,
        &limits(),
    );
    assert!(context.files.is_empty());
    assert_eq!(context.cuts, [LimitHit::new("grammar_files_max", 200, 300)]);
    let lark = lark(&ToolSet::full(), &Thought::None, &context);
    let text = call(r#"{"name": "edit", "arguments": {"path": "pkg/m.py", "symbol": "A.f"}}"#)
        + "\n```python\nx\n```";
    assert!(accepts(&lark, &text), "{lark}");
}

#[test]
fn a_model_without_call_tokens_spells_the_markers() {
    let mut context = GrammarContext::of(
        &view(),
        &ByteVocabulary::chat_ml(),
        CallFormat::Hermes,
        &limits(),
    );
    context.markers.clear();
    let lark = lark(&ToolSet::full(), &Thought::None, &context);
    let vocabulary = ByteVocabulary::chat_ml();
    let mut grammar = factory(&vocabulary).compile(&lark).unwrap();
    let text = call(r#"{"name": "submit", "arguments": {}}"#);
    let plain = vocabulary.encode(&text);
    assert!(plain.iter().all(|&token| grammar.accept(token).is_ok()));
}

#[test]
fn names_are_forced_up_to_where_the_tool_is_chosen() {
    let context = GrammarContext::of(
        &view(),
        &ByteVocabulary::chat_ml(),
        CallFormat::Hermes,
        &limits(),
    );
    let lark = lark(&ToolSet::full(), &Thought::None, &context);
    let vocabulary = ByteVocabulary::chat_ml();
    let mut grammar = factory(&vocabulary).compile(&lark).unwrap();
    let forced = grammar.forced();
    assert_eq!(vocabulary.decode(&forced), "<tool_call>\n{\"name\": \"");
}

#[test]
fn every_format_is_held_to_what_can_be_carried_out() {
    let required = Thought::Required {
        opening: "Cause:".into(),
        chars_max: 80,
    };
    let code = "\n```python\ndef totals():\n    return 2\n```";
    let thought = "Cause: `totals` in cart.py is off.\n";
    for calls in CallFormat::ALL {
        let vocabulary = ByteVocabulary::chat_ml().with(calls.markers());
        let context = GrammarContext::of(&view(), &vocabulary, calls, &limits());
        assert_eq!(context.markers, calls.markers());
        let lark = lark(&ToolSet::full(), &required, &context);
        let follows = |call: &str| accepts_of(&vocabulary, &lark, &format!("{thought}{call}"));
        let named = |symbol| calls.write("edit", &[("path", "cart.py"), ("symbol", symbol)]);
        let good = [
            named("totals") + code,
            calls.write("write", &[("path", "new.py")]) + code,
            calls.write("run", &[("command", "python3 -m pytest -q > a")]),
            calls.write("view", &[("path", "cart.py")]),
            calls.write("submit", &[]),
        ];
        for call in good {
            assert!(follows(&call), "{call}\n{lark}");
            parse(calls, &ToolSet::full(), &call).unwrap();
        }
        let bad = [
            named("sums") + code,
            named("totals"),
            calls.write("view", &[("path", "carts.py")]),
            calls.write("viewer", &[("path", "cart.py")]),
        ];
        for call in bad {
            assert!(!follows(&call), "{call}");
        }
    }
}

#[test]
fn a_thinking_model_reasons_first_and_no_longer_than_it_may() {
    let vocabulary = ByteVocabulary::chat_ml().with([REASONING_OPENING, REASONING_CLOSING]);
    let context = GrammarContext::of(&view(), &vocabulary, CallFormat::Hermes, &limits());
    let submit = call(r#"{"name": "submit", "arguments": {}}"#);
    let lark = lark(&ToolSet::full(), &Thought::None, &context.with_reasoning(8));
    let follows = |text: &str| accepts_of(&vocabulary, &lark, text);
    for reasoning in ["", "\nA <b>.\n", "12345678"] {
        let text = format!("<think>{reasoning}</think>\n\n{submit}");
        assert!(follows(&text), "{text}\n{lark}");
        assert_eq!(
            parse(CallFormat::Hermes, &ToolSet::full(), &text),
            Ok(crate::agent::Action::Submit)
        );
    }
    assert!(!follows(&format!("<think>123456789</think>\n\n{submit}")));
    assert!(!follows(&submit));
    // With all of them spent the mark is the only way on.
    let mut grammar = factory(&vocabulary).compile(&lark).unwrap();
    for token in vocabulary.encode_special("<think>12345678") {
        grammar.accept(token).unwrap();
    }
    assert_eq!(grammar.forced(), vocabulary.encode_special("</think>\n"));
}

#[test]
fn a_repository_with_too_many_functions_still_lists_its_files() {
    let files = (0..10).map(|n| RepoFile {
        path: format!("m{n}.py"),
        text: Some(
            (0..300)
                .map(|f| format!("def f{f}():\n    pass\n"))
                .collect::<String>()
                .into(),
        ),
    });
    let view = RepoView {
        files: files.collect(),
    };
    let vocabulary = ByteVocabulary::chat_ml();
    let context = GrammarContext::of(&view, &vocabulary, CallFormat::Hermes, &limits());
    assert_eq!(context.files.len(), 10);
    assert_eq!(
        context.cuts,
        [LimitHit::new("grammar_symbols_max", 2_000, 3_000)]
    );
    let lark = lark(&ToolSet::full(), &Thought::None, &context);
    let code = "\n```python\nx\n```";
    let edit = |path: &str| {
        call(&format!(
            r#"{{"name": "edit", "arguments": {{"path": "{path}", "symbol": "A.f"}}}}"#
        )) + code
    };
    assert!(accepts(&lark, &edit("m3.py")));
    assert!(!accepts(&lark, &edit("m33.py")));
}

#[test]
fn every_form_of_the_standard_profile_can_be_called_after_a_free_thought() {
    let profile = AgentProfile::standard();
    let vocabulary = ByteVocabulary::chat_ml();
    for view in [view(), RepoView::default()] {
        let context = GrammarContext::of(&view, &vocabulary, CallFormat::Hermes, &profile.limits);
        let tools = ToolSet::of(&profile.tools);
        let lark = lark(&tools, &profile.thought, &context);
        let code = "\n```python\ndef totals():\n    return 2\n```";
        let hunk = "\n```python\n<<<<<<< SEARCH\nanything\n=======\nelse\n>>>>>>> REPLACE\n```";
        let calls = [
            (r#"{"name": "list", "arguments": {"path": "."}}"#, ""),
            (
                r#"{"name": "list", "arguments": {"path": ".github/my files"}}"#,
                "",
            ),
            (r#"{"name": "view", "arguments": {"path": "cart.py"}}"#, ""),
            (
                r#"{"name": "view", "arguments": {"path": "cart.py", "start": 1, "end": 123456}}"#,
                "",
            ),
            (
                r#"{"name": "search", "arguments": {"pattern": "def \\\\w+\\\\(self"}}"#,
                "",
            ),
            (
                r#"{"name": "search", "arguments": {"pattern": "x", "glob": "**/*.py", "context": 3}}"#,
                "",
            ),
            (
                r#"{"name": "edit", "arguments": {"path": "cart.py", "symbol": "totals"}}"#,
                code,
            ),
            (
                r#"{"name": "edit", "arguments": {"path": "cart.py", "start": 6, "end": 7}}"#,
                code,
            ),
            (
                r#"{"name": "edit", "arguments": {"path": "cart.py"}}"#,
                hunk,
            ),
            (
                r#"{"name": "write", "arguments": {"path": "tests/test_new.py"}}"#,
                code,
            ),
            (
                r#"{"name": "edit", "arguments": {"path": "README.md"}}"#,
                "\n```\n<<<<<<< SEARCH\nTitle\n==========\n== a\n```sh\n=======\n```\n>>>>>>> REPLACE\n```",
            ),
            (
                r#"{"name": "write", "arguments": {"path": "NEW.md"}}"#,
                "\n````markdown\nRun:\n\n```sh\nmake\n```\n````",
            ),
            (r#"{"name": "run", "arguments": {"command": "ls"}}"#, ""),
            (r#"{"name": "undo", "arguments": {}}"#, ""),
            (r#"{"name": "submit", "arguments": {}}"#, ""),
        ];
        let mut reached = Vec::new();
        for (json, block) in calls {
            let text = call(json) + block;
            for thought in ["", "If x < 3 and {y},\n\nthen `z`.\n"] {
                let text = format!("{thought}{text}");
                assert!(accepts(&lark, &text), "{text}\n{lark}");
            }
            reached.push(parse(CallFormat::Hermes, &tools, &text).unwrap().tool());
        }
        let mut all = reached;
        let mut reached = Vec::new();
        all.retain(|tool| {
            !reached.contains(tool) && {
                reached.push(*tool);
                true
            }
        });
        assert_eq!(reached, tools.names());
    }
}
