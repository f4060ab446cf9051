//! Engines to test on, and the few things that every test does with them.
use egss::base::{Purpose, RngKey, SamplerSettings, SeqId};
use egss::engine::{Engine, EngineSettings, GenerateJob, LocalEngine, PrefixCache, open};
use std::path::{Path, PathBuf};

pub const PURPOSE: Purpose = Purpose::Agent;

/// On the tiny checkpoints: the same f32 sums in another order, by another
/// batch. On logits of up to 9 about 1e-5 is seen.
pub const TOLERANCE_F32: f32 = 5e-5;

/// Bytes of a KV block of the `qwen2-tiny` fixture: 2 layers, keys and values,
/// 2 heads of 16, 16 positions, f32.
const TINY_BLOCK_BYTES: u64 = 2 * 2 * 2 * 16 * 16 * 4;

/// A checkpoint directory made by scripts/dump_reference.py.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

/// Tokens of the tiny checkpoints without a pattern to speak of.
pub fn prompt(n: usize) -> Vec<u32> {
    (0..n as u32).map(|i| 3 + i * 37 % 300).collect()
}

/// An engine on a fixture with enough KV for everything.
pub fn open_fixture(name: &str) -> LocalEngine {
    let settings = EngineSettings {
        context_max: 1_024,
        kv_bytes_max: 4 << 20,
        engines_max: 1,
    };
    open(&fixture(name), &settings, &mut |_| {})
        .expect("a fixture opens")
        .engine
}

/// An engine on `qwen2-tiny` with a pool of `blocks` blocks.
pub fn open_tiny(blocks: usize, context_max: usize) -> LocalEngine {
    let settings = EngineSettings {
        context_max,
        kv_bytes_max: blocks as u64 * TINY_BLOCK_BYTES,
        engines_max: 1,
    };
    let engine = open(&fixture("qwen2-tiny"), &settings, &mut |_| {})
        .expect("a fixture opens")
        .engine;
    assert_eq!(engine.pool_use().total, blocks);
    engine
}

/// Computes what is pending.
pub fn compute(engine: &mut LocalEngine, seqs: &[SeqId]) {
    engine.compute(seqs, PURPOSE, &mut |_| {}).unwrap();
}

/// A new sequence of `tokens`, to be computed.
pub fn sequence(engine: &mut LocalEngine, tokens: &[u32]) -> SeqId {
    let seq = engine.new_sequence(PrefixCache::Use);
    engine.append(seq, tokens, PURPOSE).unwrap();
    seq
}

/// A new sequence of `tokens`, computed as far as the prefix cache has it not.
pub fn prefill(engine: &mut LocalEngine, tokens: &[u32]) -> SeqId {
    let seq = sequence(engine, tokens);
    compute(engine, &[seq]);
    seq
}

/// A new sequence of `tokens`, all computed: what others are measured by.
pub fn prefill_afresh(engine: &mut LocalEngine, tokens: &[u32]) -> SeqId {
    let seq = engine.new_sequence(PrefixCache::Bypass);
    engine.append(seq, tokens, PURPOSE).unwrap();
    compute(engine, &[seq]);
    seq
}

/// The row of logits after a computed sequence.
pub fn logits(engine: &LocalEngine, seq: SeqId) -> Vec<f32> {
    engine
        .logits(seq)
        .expect("the sequence is computed")
        .to_vec()
}

/// The row of logits after `tokens`, from an empty cache.
pub fn fresh_logits(engine: &mut LocalEngine, tokens: &[u32]) -> Vec<f32> {
    let seq = prefill_afresh(engine, tokens);
    let row = logits(engine, seq);
    engine.release(seq);
    row
}

/// A job without grammar or stop tokens.
pub fn job(seq: SeqId, sampler: SamplerSettings, seed: u64, tokens_max: usize) -> GenerateJob {
    GenerateJob {
        seq,
        sampler,
        rng: RngKey::from_seed(seed),
        tokens_max,
        grammar: None,
        grammar_prefix: 0,
        stop_tokens: Vec::new(),
        first_token_not: Vec::new(),
        distinct: None,
        purpose: PURPOSE,
    }
}

pub fn greedy(seq: SeqId, tokens_max: usize) -> GenerateJob {
    job(seq, SamplerSettings::GREEDY, 0, tokens_max)
}

/// Token ids of what a job generated.
pub fn ids(generated: &egss::engine::Generated) -> Vec<u32> {
    generated.tokens.iter().map(|token| token.token).collect()
}

/// Largest absolute difference of two rows.
pub fn max_diff(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "rows of different lengths");
    let diffs = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    // `max` would let a NaN pass.
    diffs.fold(0.0, |max, diff| if diff <= max { max } else { diff })
}
