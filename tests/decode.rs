//! Grammars over a real model's vocabulary.
//!
//! The real model is found in the models directory (`EGSS_MODELS_DIR`, or the
//! user's); `scripts/fetch-model` puts it there.
#[path = "models/real.rs"]
mod real;

use egss::checkpoint::{Checkpoint, Tokenizer};
use egss::decode::{Grammar, GrammarFactory};
use std::sync::Arc;
use std::time::Instant;

/// An optional thought, a tool call in Qwen's form, and a block of raw code.
const CALL_WITH_CODE: &str = r#"
start: thought? <tool_call> "\n" call "\n" </tool_call> code?
thought: /[^\n]{1,200}\n/
call: "{\"name\": \"" edit "}}" | "{\"name\": \"" run "}}"
edit: "edit\", \"arguments\": {\"path\": " STRING ", \"symbol\": " STRING
run: "run_tests\", \"arguments\": {\"path\": " STRING
STRING: /"([^"\\\x00-\x1f]|\\(["\\\/bfnrt]|u[0-9a-fA-F]{4}))*"/
code: "\n```python\n" LINE* "```\n"
LINE: /(`{0,2}([^`\n][^\n]*)?)\n/
"#;

const TEXT: &str = r#"The rate is read before it is set.
<tool_call>
{"name": "edit", "arguments": {"path": "shop/rates.py", "symbol": "Rates.of"}}
</tool_call>
```python
def of(self, code: str, *, default=None) -> float:
    """Rate of "code" — or `default`.

    ```
    Rates.of("\u20ac")
    ```
    """
    if not re.fullmatch(r"[A-Z]{3}\\?", code):  # naïve: 你好 🦀
        raise ValueError('bad code: {!r}\n'.format(code))
	return {**self._rates}.get(code, default) <= 1e-9
```
"#;

fn tokenizer_and_factory() -> (Arc<Tokenizer>, GrammarFactory) {
    let checkpoint = Checkpoint::open(&real::model_path()).unwrap();
    let tokenizer = Arc::new(checkpoint.tokenizer().unwrap());
    let ids = 0..tokenizer.size() as u32;
    let bytes = ids
        .clone()
        .map(|id| tokenizer.token_bytes(id).to_vec())
        .collect();
    let special: Vec<bool> = ids.map(|id| tokenizer.is_special(id)).collect();
    let eos = checkpoint.eos_token_ids().unwrap()[0];
    let encoder = tokenizer.clone();
    let encode = move |text: &[u8]| encoder.encode(std::str::from_utf8(text).unwrap());
    let start = Instant::now();
    let factory = GrammarFactory::new(bytes, &special, eos, Arc::new(encode)).unwrap();
    println!(
        "grammar factory: {:.0} ms",
        start.elapsed().as_secs_f64() * 1e3
    );
    (tokenizer, factory)
}

/// Follows `tokens`, and gives the microseconds of each mask that was not forced.
fn follow(grammar: &mut Grammar, tokens: &[u32], tokenizer: &Tokenizer) -> Vec<f64> {
    let us_of_mask = |&token: &u32| {
        let start = Instant::now();
        let forced = grammar.forced();
        let mask = grammar.mask().unwrap();
        let us = start.elapsed().as_secs_f64() * 1e6;
        let text = tokenizer.decode(&[token]);
        assert!(mask.allows(token), "{text:?} is not allowed");
        assert!(
            forced.first().is_none_or(|&first| first == token),
            "{text:?} is not forced"
        );
        grammar.accept(token).unwrap();
        forced.is_empty().then_some(us)
    };
    tokens.iter().filter_map(us_of_mask).collect()
}

#[test]
fn a_tool_call_with_raw_code_is_followed_in_the_models_own_tokens() {
    let (tokenizer, factory) = tokenizer_and_factory();
    let tokens = tokenizer.encode_special(TEXT);
    assert!(tokens.contains(&tokenizer.added_id("<tool_call>").unwrap()));
    let mut grammar = factory.compile(CALL_WITH_CODE).unwrap();
    let mut us = follow(&mut grammar, &tokens, &tokenizer);
    assert!(grammar.is_finished());
    us.sort_unstable_by(f64::total_cmp);
    println!(
        "mask over {} free tokens: {:.0} us median, {:.0} us p90, {:.0} us at most",
        us.len(),
        us[us.len() / 2],
        us[us.len() * 9 / 10],
        us[us.len() - 1]
    );
    let start = Instant::now();
    let forks: Vec<Grammar> = (0..16).map(|_| grammar.fork()).collect();
    println!(
        "fork: {:.0} us",
        start.elapsed().as_secs_f64() * 1e6 / forks.len() as f64
    );
}

#[test]
fn rollback_to_any_token_gives_the_masks_of_a_fresh_start() {
    let (tokenizer, factory) = tokenizer_and_factory();
    let tokens = tokenizer.encode_special(TEXT);
    let fresh = factory.compile(CALL_WITH_CODE).unwrap();
    let mut ended = fresh.fork();
    follow(&mut ended, &tokens, &tokenizer);
    // In the code, over `</tool_call>`, in the arguments, over `<tool_call>`.
    for kept in [tokens.len() - 1, tokens.len() - 40, 30, 20, 3] {
        let mut rolled = ended.fork();
        rolled.rollback(tokens.len() - kept).unwrap();
        let mut replayed = fresh.fork();
        follow(&mut replayed, &tokens[..kept], &tokenizer);
        assert_eq!(rolled.forced(), replayed.forced(), "{kept} tokens kept");
        assert!(
            rolled.mask().unwrap() == replayed.mask().unwrap(),
            "{kept} tokens kept"
        );
        follow(&mut rolled, &tokens[kept..], &tokenizer);
        assert!(rolled.is_finished());
    }
}

#[test]
fn ids_past_the_vocabulary_and_special_tokens_are_never_text() {
    let (tokenizer, factory) = tokenizer_and_factory();
    let mut grammar = factory.compile("start: /(.|\\n)*/").unwrap();
    let mask = grammar.mask().unwrap();
    for special in [
        "<tool_call>",
        "</tool_call>",
        "<|im_start|>",
        "<|fim_prefix|>",
    ] {
        assert!(
            !mask.allows(tokenizer.added_id(special).unwrap()),
            "{special}"
        );
    }
    let size = tokenizer.size() as u32;
    let unused = (0..size).filter(|&id| tokenizer.token_bytes(id).is_empty());
    assert!(
        unused
            .chain([size, size + 1, u32::MAX])
            .all(|id| !mask.allows(id))
    );
    // Whole characters, and the bytes that start one.
    for text in ["def", "\n\n", " 你", "</div>"] {
        assert!(mask.allows(tokenizer.encode(text)[0]), "{text:?}");
    }
}

#[test]
fn a_forced_tail_is_tokenised_as_the_tokenizer_would() {
    let (tokenizer, factory) = tokenizer_and_factory();
    let mut grammar = factory.compile(CALL_WITH_CODE).unwrap();
    grammar
        .accept(tokenizer.added_id("<tool_call>").unwrap())
        .unwrap();
    let forced = grammar.forced();
    let text = tokenizer.decode(&forced);
    assert_eq!(text, "\n{\"name\": \"");
    assert_eq!(forced, tokenizer.encode(&text));
}
