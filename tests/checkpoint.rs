//! Checkpoints and tokenizers, on a real model and on files made wrong.
//!
//! The real model is found in the models directory (`EGSS_MODELS_DIR`, or the
//! user's); `scripts/fetch-model` puts it there.
#[path = "models/real.rs"]
mod real;

use candle_core::Device;
use egss::checkpoint::{Checkpoint, Weight};

#[test]
fn a_real_gguf_opens_and_gives_its_tensors() {
    let checkpoint = Checkpoint::open(&real::model_path()).unwrap();
    let c = checkpoint.config().clone();
    assert_eq!(c.architecture, "qwen2");
    assert_eq!((c.vocab, c.context_max), (151_936, 32_768));
    assert_eq!(c.hidden, c.n_heads * c.head_dim);
    assert_eq!(c.rope_theta, 1e6);
    assert!(c.qkv_bias && !c.tied_embeddings);
    let device = Device::Cpu;
    let q = checkpoint.linear("blk.0.attn_q.weight", &device).unwrap();
    assert!(matches!(q, Weight::Quantized(_)));
    assert_eq!(q.dims2().unwrap(), (c.n_heads * c.head_dim, c.hidden));
    let norm = checkpoint.vector("output_norm.weight", &device).unwrap();
    assert_eq!(norm.dims(), [c.hidden]);
    assert_eq!(checkpoint.eos_token_ids().unwrap(), [151_645, 151_643]);
    assert_eq!(checkpoint.bos_token_id().unwrap(), None);
}

#[test]
fn special_text_becomes_a_special_token_only_when_asked() {
    let tokenizer = Checkpoint::open(&real::model_path())
        .unwrap()
        .tokenizer()
        .unwrap();
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
