//! Grammars over a toy vocabulary: bytes, a few words, three special tokens.
use super::*;

const WORDS: [&str; 9] = [
    "foo", "foobar", "bar", "fo", "\": \"", "name", "python\n", "```", "<p>",
];
/// An ordinary token, though it looks like a special one.
const PARAGRAPH: u32 = 264;
const TOOL_CALL: u32 = 265;
const TOOL_CALL_END: u32 = 266;
const IM_END: u32 = 267;

fn words() -> Vec<Vec<u8>> {
    let words = WORDS.iter().map(|word| word.as_bytes().to_vec());
    (0..=255).map(|byte| vec![byte]).chain(words).collect()
}

/// Longest word first: this vocabulary's canonical tokenisation.
fn tokenize(mut text: &[u8]) -> Vec<u32> {
    let words = words();
    let mut tokens = Vec::new();
    while !text.is_empty() {
        let fitting = words.iter().enumerate().filter(|w| text.starts_with(w.1));
        let (id, word) = fitting.max_by_key(|w| w.1.len()).unwrap();
        tokens.push(id as u32);
        text = &text[word.len()..];
    }
    tokens
}

fn factory() -> GrammarFactory {
    let mut words = words();
    words.extend(["<tool_call>", "</tool_call>", "<|im_end|>"].map(|w| w.as_bytes().to_vec()));
    // As in Qwen's vocabulary: of the added tokens only the control one is flagged.
    let special: Vec<bool> = (0..words.len()).map(|id| id == IM_END as usize).collect();
    GrammarFactory::new(words, &special, IM_END, Arc::new(tokenize)).unwrap()
}

/// Accepts `text` token by token, each one checked against the mask first.
fn follow(grammar: &mut Grammar, text: &str) {
    for token in tokenize(text.as_bytes()) {
        take(grammar, token);
    }
}

fn take(grammar: &mut Grammar, token: u32) {
    let mask = grammar.mask().unwrap();
    assert!(mask.allows(token), "token {token} is not in the mask");
    grammar.accept(token).unwrap();
}

/// The mask's tokens of one byte, as text.
fn bytes_allowed(grammar: &mut Grammar) -> String {
    let mask = grammar.mask().unwrap();
    mask.iter()
        .filter(|&t| t < 128)
        .map(|t| t as u8 as char)
        .collect()
}

/// A tool call and, behind it, a block of raw code.
const CALL_WITH_CODE: &str = r#"
start: thought? <tool_call> "\n" call "\n" </tool_call> "\n" code
thought: /[^\n]{1,200}\n/
call: "{\"name\": \"edit\", \"arguments\": {\"path\": " STRING ", \"symbol\": " STRING "}}"
STRING: /"([^"\\\x00-\x1f]|\\(["\\\/bfnrt]|u[0-9a-fA-F]{4}))*"/
code: "```python\n" LINE* "```\n"
LINE: /(`{0,2}([^`\n][^\n]*)?)\n/
"#;

#[test]
fn raw_code_survives_quotes_backslashes_unicode_and_indented_fences() {
    let mut grammar = factory().compile(CALL_WITH_CODE).unwrap();
    follow(&mut grammar, "The bug is in f: \"x\\n\" → y\n");
    take(&mut grammar, TOOL_CALL);
    follow(
        &mut grammar,
        "\n{\"name\": \"edit\", \"arguments\": {\"path\": ",
    );
    follow(&mut grammar, "\"a/b.py\", \"symbol\": \"f\\u00e9\\\"\"}}\n");
    take(&mut grammar, TOOL_CALL_END);
    let code = "def f(x):\n    \"\"\"Say \"hi\\n\" — naïve 🦀.\n\n    ```\n    f('\\\\')\n    ```\n    \"\"\"\n\
                ``x`` = `y`\n\n\treturn r'\\d+'  # 你好 <tool_call>\n";
    follow(&mut grammar, &format!("\n```python\n{code}"));
    assert!(!grammar.is_finished() && !grammar.can_stop());
    follow(&mut grammar, "```\n");
    assert!(grammar.is_finished() && grammar.can_stop());
    assert_eq!(grammar.mask().unwrap().only(), Some(IM_END));
    assert!(grammar.forced().is_empty());
    assert!(grammar.accept(b'x'.into()).is_err());
}

#[test]
fn a_line_that_starts_with_a_fence_ends_the_code() {
    let mut grammar = factory().compile(CALL_WITH_CODE).unwrap();
    take(&mut grammar, TOOL_CALL);
    let call = "\n{\"name\": \"edit\", \"arguments\": {\"path\": \"a\", \"symbol\": \"f\"}}\n";
    follow(&mut grammar, call);
    take(&mut grammar, TOOL_CALL_END);
    follow(&mut grammar, "\n```python\nx\n```");
    assert_eq!(bytes_allowed(&mut grammar), "\n");
}

#[test]
fn special_tokens_and_their_spelling_in_text_are_told_apart() {
    let factory = factory();
    let mut by_name = factory.compile("start: <tool_call> \"x\"").unwrap();
    assert_eq!(by_name.mask().unwrap().only(), Some(TOOL_CALL));
    let mut by_id = factory.compile("start: <[265]> \"x\"").unwrap();
    assert_eq!(by_id.mask().unwrap().only(), Some(TOOL_CALL));
    let mut quoted = factory.compile("start: \"<tool_call>\" \"x\"").unwrap();
    assert_eq!(quoted.mask().unwrap().only(), Some(b'<'.into()));
    let mut text = factory.compile("start: /(.|\\n)*/").unwrap();
    let mask = text.mask().unwrap();
    assert!(!mask.allows(TOOL_CALL) && mask.allows(IM_END) && mask.allows(b'<'.into()));
    assert!(mask.allows(PARAGRAPH), "plain text encodes to it");
}

#[test]
fn forced_text_comes_in_the_tokenizers_own_tokens() {
    let mut grammar = factory().compile("start: \"foobar\" /[a-z]+/").unwrap();
    // `foobar` is one token here, though `fo`, `foo` and `f` spell it too; the
    // last forced token is only sure when nothing longer could follow.
    assert_eq!(grammar.forced(), tokenize(b"foobar"));
    assert_eq!(grammar.mask().unwrap().only(), Some(257));
    follow(&mut grammar, "foobar");
    assert!(grammar.forced().is_empty());
    assert!(grammar.mask().unwrap().count() > 26);
    let mut special = factory()
        .compile("start: <tool_call> \"\\n\" \"a\"")
        .unwrap();
    assert_eq!(special.forced(), [TOOL_CALL, b'\n'.into(), b'a'.into()]);
}

#[test]
fn forks_do_not_disturb_each_other() {
    let lark = "start: (/[a-f]{3}/ | /[0-9]{3}/ | \"x\" start \"y\") TAIL\nTAIL: /[!?]{1,5}/";
    let factory = factory();
    let texts = ["abc!?!", "012??", "xdef!y!", "x999?y?"];
    // Undisturbed: each text alone on a grammar of its own, masks noted.
    let alone: Vec<Vec<Mask>> = texts
        .iter()
        .map(|text| {
            let mut grammar = factory.compile(lark).unwrap();
            text.bytes()
                .map(|byte| {
                    let mask = grammar.mask().unwrap();
                    grammar.accept(byte.into()).unwrap();
                    mask
                })
                .collect()
        })
        .collect();
    // Forked off one parent and advanced in turns, with rollbacks between.
    let parent = factory.compile(lark).unwrap();
    let mut forks: Vec<Grammar> = texts.iter().map(|_| parent.fork()).collect();
    for step in 0..texts.iter().map(|t| t.len()).max().unwrap() {
        for ((fork, text), masks) in forks.iter_mut().zip(texts).zip(&alone) {
            let Some(byte) = text.as_bytes().get(step).copied() else {
                continue;
            };
            assert_eq!(fork.mask().unwrap(), masks[step], "{text:?} at {step}");
            fork.accept(byte.into()).unwrap();
            let mut detour = fork.fork();
            if let Some(other) = detour.mask().unwrap().iter().find(|&t| t < 256) {
                detour.accept(other).unwrap();
                fork.accept(other).unwrap();
                fork.rollback(1).unwrap();
            }
        }
    }
    assert!(forks.iter_mut().all(Grammar::can_stop));
    assert_eq!(parent.n_accepted(), 0);
}

#[test]
fn a_fork_outlives_a_failure_in_its_sibling() {
    // With shared lexer state (a plain clone) the failure would reach the fork.
    let mut failing = factory().compile("start: /[a-f]{3}/").unwrap();
    let mut fork = failing.fork();
    failing.matcher.test_trigger_lexer_error().unwrap_err();
    let error = failing.mask().unwrap_err();
    let said = "panic: synthetic error".to_owned();
    assert_eq!(error, DecodeError::GrammarFailed(said));
    follow(&mut fork, "abc");
    assert!(fork.is_finished());
}

#[test]
fn rollback_returns_to_the_same_masks_also_from_a_finished_text() {
    let mut grammar = factory().compile("start: \"a\"* \"b\"").unwrap();
    let first = grammar.mask().unwrap();
    follow(&mut grammar, "aab");
    assert!(grammar.is_finished());
    grammar.rollback(1).unwrap();
    assert!(!grammar.is_finished());
    assert_eq!(bytes_allowed(&mut grammar), "ab");
    grammar.rollback(2).unwrap();
    assert_eq!(grammar.mask().unwrap(), first);
    let error = grammar.rollback(1).unwrap_err();
    assert_eq!(
        error,
        DecodeError::Rollback {
            asked: 1,
            accepted: 0
        }
    );
    follow(&mut grammar, "b");

    // Over an eos that ended a text which could have gone on.
    let mut grammar = factory().compile("start: \"a\"+").unwrap();
    follow(&mut grammar, "a");
    assert!(grammar.can_stop() && !grammar.is_finished());
    take(&mut grammar, IM_END);
    assert!(grammar.is_finished());
    grammar.rollback(1).unwrap();
    follow(&mut grammar, "aa");
    assert_eq!(grammar.n_accepted(), 3);
}

#[test]
fn a_refused_token_leaves_the_grammar_where_it_was() {
    let mut grammar = factory().compile("start: \"a\" \"b\"").unwrap();
    for token in [b'b'.into(), IM_END, TOOL_CALL, 9_999] {
        let error = grammar.accept(token).unwrap_err();
        assert_eq!(error, DecodeError::TokenRefused { token });
    }
    follow(&mut grammar, "ab");
    assert!(grammar.is_finished());
}

#[test]
fn a_wrong_grammar_is_one_sentence_with_its_place() {
    let factory = factory();
    let cases = [
        ("start: FOO", "line 1, column 8: unknown name: \"FOO\""),
        ("start: \"a\" (", "line 1, column 13: Expected token ')'"),
        (
            "start: <foo>",
            "line 1, column 8: unknown special token: \"<foo>\"",
        ),
        ("start: /a(/", "line 1, column 8: invalid regex \"a(\""),
        ("", "no start rule found"),
        ("start: X\nX: /a/ & /b/", "no text matches it"),
        (
            "start: <[9999]>",
            "line 1, column 8: Token range end too large",
        ),
    ];
    for (lark, expected) in cases {
        let error = factory.compile(lark).map(|_| ()).unwrap_err().to_string();
        let message = error.strip_prefix("the grammar is wrong: ").unwrap();
        assert!(message.starts_with(expected), "{lark:?}: {message}");
        assert!(!error.contains(['\n', '^']), "{error:?}");
    }
}

#[test]
fn a_vocabulary_that_cannot_serve_is_an_error() {
    let new = |words: &[&[u8]], special: &[bool], eos| {
        let words = words.iter().map(|w| w.to_vec()).collect();
        let factory = GrammarFactory::new(words, special, eos, Arc::new(tokenize));
        factory.map(|_| ()).unwrap_err().to_string()
    };
    assert!(new(&[b"a"], &[], 0).contains("1 tokens came with 0 special flags"));
    assert!(new(&[b"a"], &[false], 1).contains("eos token 1 is not one of its 1 tokens"));
    assert!(new(&[], &[], 0).contains("eos token 0 is not one of its 0 tokens"));
    assert!(new(&[&[b'a'; 2_000]], &[false], 0).contains("token 0 is 2000 bytes long"));
}

#[test]
fn a_compiled_grammar_is_kept_and_each_copy_starts_fresh() {
    let factory = factory();
    let mut first = factory.compile("start: \"a\" \"b\"").unwrap();
    follow(&mut first, "ab");
    let mut second = factory.compile("start: \"a\" \"b\"").unwrap();
    assert_eq!(second.n_accepted(), 0);
    follow(&mut second, "ab");
    assert_eq!(factory.cache.lock().unwrap().len(), 1);
}

#[test]
fn factory_and_grammars_may_cross_threads() {
    fn is_send<T: Send>() {}
    fn is_sync<T: Sync>() {}
    is_send::<Grammar>();
    is_send::<GrammarFactory>();
    is_sync::<GrammarFactory>();
}
