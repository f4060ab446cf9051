//! Against the `transformers` package, on tiny checkpoints with random weights.
//! The reference logits are made by scripts/dump_reference.py.
use crate::common::*;
use candle_core::{Device, Tensor};
use egss::base::SeqId;
use egss::checkpoint::Checkpoint;
use egss::engine::{Engine, EngineSettings, LocalEngine, open_checkpoint};
use egss::kv::BLOCK_SIZE;
use egss::ops::Backend;
use std::collections::{BTreeMap, HashMap};

/// Two f32 forwards in other orders of summation, on logits of up to 9.
const TOLERANCE_LOGITS: f32 = 1e-4;

/// At least one for each family, and those of its GGUF files that hold f32.
pub const FIXTURES: [&str; 16] = [
    "qwen2-tiny",
    "qwen2-tiny-tied",
    "llama-tiny",
    "llama3-tiny",
    "qwen3-tiny",
    "qwen3-tiny/model.gguf",
    "qwen3-moe-tiny",
    "qwen3-moe-q8-tiny",
    "glm4-tiny",
    "glm4-tiny/model.gguf",
    "glm4-moe-tiny",
    "glm4-moe-tiny/model.gguf",
    "deepseek-v3-tiny",
    "deepseek-v3-tiny/model.gguf",
    "deepseek-v3-fp8-tiny",
    "kimi-k2-tiny",
];

/// Of weights in Q8_0, with reference logits of the very numbers that they stand for, and
/// prompts with which no choice of experts is a close one.
const QUANTISED: &str = "qwen3-moe-q8-tiny/model.gguf";

/// Rows of activations are rounded to bytes before each product: each number by up to a
/// part in 254 of the largest of 32, on logits of up to 6.
const TOLERANCE_QUANTISED: f32 = 0.15;

/// The same over four layers of wider rows: 0.12 was seen.
const TOLERANCE_MIXED: f32 = 0.3;

/// A prompt, its greedy continuation, and the logits that this was read from.
struct Reference {
    prompt: Vec<u32>,
    decoded: Vec<u32>,
    /// After the prompt, then after each decoded token.
    logits: Vec<Vec<f32>>,
}

/// By the prompt's length, ascending. Those of a file are its directory's.
fn references(fixture_name: &str) -> Vec<Reference> {
    let directory = fixture_name.trim_end_matches("/model.gguf");
    let path = fixture(directory).join("reference.safetensors");
    let tensors: HashMap<String, Tensor> =
        candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    let ids = |name: String| -> Vec<u32> {
        let ids = tensors[&name].to_vec1::<i64>().unwrap();
        ids.into_iter().map(|id| id as u32).collect()
    };
    let lengths = tensors.keys().filter_map(|name| {
        let length = name.strip_suffix(".prompt")?;
        Some((length.parse::<usize>().unwrap(), length.to_owned()))
    });
    let references: Vec<Reference> = lengths
        .collect::<BTreeMap<_, _>>()
        .into_values()
        .map(|length| Reference {
            prompt: ids(format!("{length}.prompt")),
            decoded: ids(format!("{length}.decoded")),
            logits: tensors[&format!("{length}.logits")].to_vec2().unwrap(),
        })
        .collect();
    assert!(!references.is_empty());
    references
}

/// Feeds a sequence the reference's decoded tokens from the `from`th on, one
/// step each, and gives the largest difference of all rows from there.
fn follow(engine: &mut LocalEngine, seq: SeqId, reference: &Reference, from: usize) -> f32 {
    let mut largest = max_diff(&logits(engine, seq), &reference.logits[from]);
    for (token, row) in reference
        .decoded
        .iter()
        .zip(&reference.logits[1..])
        .skip(from)
    {
        engine.append(seq, &[*token], PURPOSE).unwrap();
        compute(engine, &[seq]);
        largest = largest.max(max_diff(&logits(engine, seq), row));
    }
    largest
}

/// Prefill, then step by step.
fn alone(name: &str) -> f32 {
    let mut largest = 0f32;
    let mut engine = open_fixture(name);
    for reference in references(name) {
        let seq = prefill_afresh(&mut engine, &reference.prompt);
        largest = largest.max(follow(&mut engine, seq, &reference, 0));
        engine.release(seq);
    }
    engine.check_integrity();
    largest
}

/// All prompts in one batch.
fn ragged(name: &str) -> f32 {
    let mut engine = open_fixture(name);
    let references = references(name);
    let seqs: Vec<SeqId> = references
        .iter()
        .map(|reference| sequence(&mut engine, &reference.prompt))
        .collect();
    // Each joins the batch two steps after the one before it, the longest
    // first: prefill chunks run beside decode rows.
    let mut fed = vec![0; seqs.len()];
    let mut largest = 0f32;
    for step in 0.. {
        let joined = (0..seqs.len()).filter(|&i| step >= 2 * (seqs.len() - 1 - i));
        let running: Vec<usize> = joined
            .filter(|&i| fed[i] <= references[i].decoded.len())
            .collect();
        if running.is_empty() {
            break;
        }
        let batch: Vec<SeqId> = running.iter().map(|&i| seqs[i]).collect();
        compute(&mut engine, &batch);
        for i in running {
            let row = &references[i].logits[fed[i]];
            largest = largest.max(max_diff(&logits(&engine, seqs[i]), row));
            if let Some(token) = references[i].decoded.get(fed[i]) {
                engine.append(seqs[i], &[*token], PURPOSE).unwrap();
            }
            fed[i] += 1;
        }
    }
    largest
}

/// A branch off a trunk that has gone on another way: five tokens, then others.
fn forked(name: &str) -> f32 {
    let mut largest = 0f32;
    let mut engine = open_fixture(name);
    for reference in references(name) {
        let other: Vec<u32> = reference.decoded[..5]
            .iter()
            .copied()
            .chain(100..140)
            .collect();
        let trunk = prefill(&mut engine, &reference.prompt);
        engine.append(trunk, &other, PURPOSE).unwrap();
        compute(&mut engine, &[trunk]);
        let branch = engine.fork(trunk, reference.prompt.len() + 5, PURPOSE);
        compute(&mut engine, &[branch]);
        largest = largest.max(follow(&mut engine, branch, &reference, 5));
        engine.release(trunk);
        engine.release(branch);
    }
    largest
}

/// What the prefix cache serves: computed in one piece, released, and found again.
fn cached(name: &str) -> f32 {
    let mut largest = 0f32;
    let mut engine = open_fixture(name);
    for reference in references(name) {
        let computed = prefill(&mut engine, &reference.prompt);
        engine.release(computed);
        let before = engine.usage().total().reused_tokens;
        let seq = prefill(&mut engine, &reference.prompt);
        let reused = engine.usage().total().reused_tokens - before;
        let full_blocks = (reference.prompt.len() - 1) / BLOCK_SIZE;
        assert_eq!(reused, (full_blocks * BLOCK_SIZE) as u64);
        largest = largest.max(follow(&mut engine, seq, &reference, 0));
        engine.release(seq);
    }
    engine.check_integrity();
    largest
}

#[test]
fn each_family_gives_the_logits_of_transformers() {
    let exact = FIXTURES.map(|name| (name, TOLERANCE_LOGITS));
    let all = exact.into_iter().chain([(QUANTISED, TOLERANCE_QUANTISED)]);
    for (name, tolerance) in all {
        let of = [alone, ragged, forked, cached].map(|compared| compared(name));
        // One line a checkpoint, which the test runner shows.
        println!(
            "{name}: largest difference of a logit to transformers, prefill and 16 steps: \
             alone {:.1e}, in a ragged batch {:.1e}, after a fork {:.1e}, from the prefix cache {:.1e}",
            of[0], of[1], of[2], of[3]
        );
        // A NaN is no small difference.
        assert!(of.iter().all(|diff| *diff < tolerance), "{name}: {of:?}");
    }
}

/// 24 types in one file (scripts/dump_gguf_mixed.py), a matrix each, on logits of up to 5:
/// those with kernels have rows of activations rounded to bytes, the others are
/// multiplied as halves or by candle.
const MIXED: &str = "mixed-tiny/model.gguf";

#[test]
fn a_file_of_many_types_gives_the_logits_of_transformers_on_what_gguf_py_takes_them_for() {
    let of = [alone, ragged, forked, cached].map(|compared| compared(MIXED));
    println!("{MIXED}: largest difference of a logit to transformers: {of:?}");
    assert!(of.iter().all(|diff| *diff < TOLERANCE_MIXED), "{of:?}");
}

#[test]
fn greedy_decoding_takes_the_tokens_of_transformers() {
    let (mut n_compared, mut n_in_all) = (0, 0);
    for name in FIXTURES {
        let mut engine = open_fixture(name);
        let references = references(name);
        let jobs: Vec<_> = references
            .iter()
            .map(|reference| {
                let seq = sequence(&mut engine, &reference.prompt);
                greedy(seq, reference.decoded.len())
            })
            .collect();
        // The smallest gap of the top two logits in the fixtures is 0.006, far
        // above the tolerance: the tokens must be equal.
        let generated = engine.generate(&jobs, &mut |_| {}).unwrap();
        let is_token = |id: &&u32| !engine.vocabulary().token_bytes(**id).is_empty();
        for (generated, reference) in generated.iter().zip(&references) {
            // The reference draws rows behind which no token stands, too: up to one.
            let n = reference.decoded.iter().take_while(is_token).count();
            assert_eq!(ids(generated)[..n], reference.decoded[..n], "{name}");
            n_compared += n;
            n_in_all += reference.decoded.len();
        }
    }
    assert!(2 * n_compared > n_in_all, "{n_compared} of {n_in_all}");
}

/// f32 sums in another order, over three layers of random weights.
const COMPOSITE_NMSE: f64 = 1e-9;

/// An engine's logits of a few branches that copy a shared tail block and decode in one
/// batch.
pub fn branched(checkpoint: &Checkpoint, backend: &Backend) -> Vec<f32> {
    let settings = EngineSettings {
        context_max: 512,
        kv_bytes_max: 64 << 20,
        engines_max: 1,
    };
    let opened = open_checkpoint(checkpoint, &settings, backend, &mut |_| {});
    let mut engine = opened.unwrap().engine;
    let trunk = sequence(&mut engine, &prompt(70));
    compute(&mut engine, &[trunk]);
    let forks = [0, 1, 2].map(|_| engine.fork(trunk, 70, PURPOSE));
    for round in 0..3 {
        for (i, &fork) in forks.iter().enumerate() {
            let token = 5 + 7 * i as u32 + round;
            engine.append(fork, &[token], PURPOSE).unwrap();
        }
        compute(&mut engine, &forks);
    }
    forks
        .map(|fork| engine.logits(fork).unwrap().to_vec())
        .concat()
}

#[test]
fn candles_operations_alone_give_what_the_kernels_give() {
    let random = ["tiny", "tiny3"].map(|shape| Checkpoint::random(shape).unwrap());
    let families = FIXTURES.map(|name| Checkpoint::open(&fixture(name)).unwrap());
    for checkpoint in random.iter().chain(&families) {
        let got = branched(checkpoint, &Backend::composite());
        let want = branched(checkpoint, &Backend::cpu());
        let square = |x: f32| f64::from(x) * f64::from(x);
        let error: f64 = got.iter().zip(&want).map(|(a, b)| square(a - b)).sum();
        let size: f64 = want.iter().map(|&x| square(x)).sum();
        let path = checkpoint.path().display();
        assert!(error / size < COMPOSITE_NMSE, "{path}: {:e}", error / size);
    }
}
