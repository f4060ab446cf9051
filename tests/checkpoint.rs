//! Checkpoints and tokenizers, on a real model and on files made wrong.
//!
//! The real model is found in the models directory (`EGSS_MODELS_DIR`, or the
//! user's); `scripts/fetch-model` puts it there.
#[path = "models/real.rs"]
mod real;

use candle_core::Device;
use egss::checkpoint::{Checkpoint, Tokenizer, Weight};
use std::sync::LazyLock;

#[test]
fn a_real_gguf_opens_and_gives_its_tensors() {
    let checkpoint = Checkpoint::open(&real::model_path()).unwrap();
    let c = checkpoint.config().clone();
    assert_eq!(c.architecture, "qwen2");
    assert_eq!((c.vocab, c.context_max), (151_936, 32_768));
    assert_eq!(c.hidden, c.n_heads * c.head_dim);
    assert_eq!(c.rotary.theta, 1e6);
    assert!(c.qkv_bias && !c.tied_embeddings);
    let device = Device::Cpu;
    let q = checkpoint.linear("blk.0.attn_q.weight", &device).unwrap();
    assert!(matches!(q, Weight::Blocks(_)));
    assert_eq!(q.dims2().unwrap(), (c.n_heads * c.head_dim, c.hidden));
    let norm = checkpoint.floats("output_norm.weight", &device).unwrap();
    assert_eq!(norm.dims(), [c.hidden]);
    assert_eq!(checkpoint.eos_token_ids().unwrap(), [151_645, 151_643]);
    assert_eq!(checkpoint.bos_token_id().unwrap(), None);
}

#[test]
fn special_text_becomes_a_special_token_only_when_asked() {
    let tokenizer = tokenizer();
    assert_eq!(tokenizer.size(), 151_936);
    for (text, id) in [("<|im_end|>", 151_645), ("<tool_call>", 151_657)] {
        assert_eq!(tokenizer.encode_special(text), [id]);
        let plain = tokenizer.encode(text);
        assert!(!plain.contains(&id) && plain.len() > 1);
        assert_eq!(tokenizer.decode(&plain), text);
        assert_eq!(tokenizer.token_bytes(id), text.as_bytes());
    }
    assert!(tokenizer.is_special(151_645) && !tokenizer.is_special(151_657));
    assert!(tokenizer.is_special(151_935) && tokenizer.token_bytes(151_935).is_empty());
    assert!(tokenizer.is_special(u32::MAX) && tokenizer.token_bytes(u32::MAX).is_empty());
}

/// What Qwen's own tokenizer makes of a text (`scripts/dump-encodings`).
#[derive(serde::Deserialize)]
struct Encoding {
    text: String,
    ids: Vec<u32>,
}

#[derive(serde::Deserialize)]
struct Encodings {
    plain: Vec<Encoding>,
    template: Vec<Encoding>,
}

#[test]
fn encodings_are_those_of_the_models_own_tokenizer() {
    let tokenizer = tokenizer();
    let expected: Encodings = serde_json::from_str(include_str!("models/encodings.json")).unwrap();
    assert!(expected.plain.len() >= 200 && !expected.template.is_empty());
    for Encoding { text, ids } in expected.plain {
        assert_eq!(tokenizer.encode(&text), ids, "{text:?}");
        assert_eq!(tokenizer.encode_special(&text), ids, "{text:?}");
    }
    for Encoding { text, ids } in expected.template {
        assert_eq!(tokenizer.encode_special(&text), ids, "{text:?}");
        assert_eq!(tokenizer.decode(&ids), text);
    }
}

#[test]
fn every_byte_is_a_token_and_invalid_utf8_is_replaced() {
    let tokenizer = tokenizer();
    let single: std::collections::HashMap<u8, u32> = (0..tokenizer.size() as u32)
        .filter_map(|id| match tokenizer.token_bytes(id) {
            [byte] => Some((*byte, id)),
            _ => None,
        })
        .collect();
    assert_eq!(single.len(), 256);
    let decode =
        |bytes: &[u8]| tokenizer.decode(&bytes.iter().map(|byte| single[byte]).collect::<Vec<_>>());
    assert_eq!(decode("中😀".as_bytes()), "中😀");
    assert_eq!(decode(b"a\xFFb\xE4\xB8"), "a\u{FFFD}b\u{FFFD}");
}

proptest::proptest! {
    /// Composed characters only: Qwen2 normalises text to NFC first.
    #[test]
    fn text_in_nfc_survives_a_round_trip(text in r"([ -~]|[\t\n\r]|[一-龥]|[äöüßéñ]|[😀-🙏]|<\|im_end\|>){0,80}") {
        let tokenizer = tokenizer();
        let plain = tokenizer.encode(&text);
        proptest::prop_assert_eq!(tokenizer.decode(&plain), text.as_str());
        proptest::prop_assert!(plain.iter().all(|&id| !tokenizer.is_special(id)));
        proptest::prop_assert_eq!(tokenizer.decode(&tokenizer.encode_special(&text)), text);
    }
}

/// The real model's tokenizer, read once for all tests.
fn tokenizer() -> &'static Tokenizer {
    static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| {
        Checkpoint::open(&real::model_path())
            .unwrap()
            .tokenizer()
            .unwrap()
    });
    &TOKENIZER
}
