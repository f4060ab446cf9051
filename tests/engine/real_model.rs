//! The default model's real weights, against candle-transformers and against
//! brute force. Run `scripts/fetch-model` first.
use crate::common::*;
use crate::judge::{Asked, judge_both_ways};
use crate::lanes::{charged_and_done, side_by_side_and_alone};
use candle_core::quantized::gguf_file;
use candle_core::{Device, Tensor};
use candle_transformers::models::quantized_qwen2::ModelWeights;
use egss::base::{RngKey, SamplerSettings, SeqId, TokenEntropy};
use egss::checkpoint::resolve;
use egss::engine::{
    Engine, EngineSettings, GenerateJob, LocalEngine, MemoryPlan, PrefixCache, ScoreJob, open,
};
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};

const MODEL: &str = "qwen2.5-coder-1.5b-instruct-q4_k_m";

/// Products over quantised weights round the activations to 8 bits: where a
/// sum in another order tips one over to the next step, 28 layers carry that on.
/// Of all 151,936 logits after a prompt the one that moves most moves by 0.3 to
/// 0.7, between this engine and the oracle as between the oracle's own prefill
/// and its own single rows (printed).
const TOLERANCE_QUANTISED_LOGITS: f32 = 1.0;

/// How far below the top the token taken may lie, of logits so uncertain; most
/// move far less than the one that moves most.
const NEAR_TIE: f32 = 0.5;

/// Against sums in f64 of the same logits, nats.
const TOLERANCE_ENTROPY_NATS: f64 = 1e-5;

/// Of an entropy over tools, between a batch over forked tails and single rows.
const TOLERANCE_TOOL_NATS: f64 = 1e-4;

fn model_path() -> PathBuf {
    resolve(MODEL).unwrap_or_else(|error| {
        panic!("this test needs the real model; run scripts/fetch-model ({error})")
    })
}

/// The engine, and the right to use the cores: one model at a time.
struct Real {
    engine: LocalEngine,
    /// Another one over the same weights.
    beside: Option<LocalEngine>,
    plan: MemoryPlan,
    _alone: MutexGuard<'static, ()>,
}

fn open_real() -> Real {
    open_real_for(1)
}

/// The right to use the cores: one model at a time.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    // A test that failed beside this one has broken nothing.
    ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn open_real_for(engines_max: usize) -> Real {
    let alone = alone();
    let settings = EngineSettings {
        context_max: 2_048,
        kv_bytes_max: 256 << 20,
        engines_max,
    };
    let opened = open(&model_path(), &settings, &mut |_| {}).expect("the model opens");
    Real {
        engine: opened.engine,
        beside: opened.beside.into_iter().next(),
        plan: opened.plan,
        _alone: alone,
    }
}

const PROMPTS: [&str; 5] = [
    "def fibonacci(n):\n",
    "<|im_start|>user\nWrite a Python function that reverses a linked list.<|im_end|>\n<|im_start|>assistant\n",
    "// A thread-safe counter in Rust\nuse std::sync::",
    "The capital of France is",
    "import json\n\nclass Config:\n    def __init__(self, path):\n        self.path = path\n\n    def load(self):\n        \"\"\"Reads the file and returns a dictionary.\"\"\"\n",
];

fn prompts(engine: &LocalEngine) -> Vec<Vec<u32>> {
    PROMPTS
        .iter()
        .map(|text| engine.vocabulary().encode_special(text))
        .collect()
}

/// The largest logit's token, and how far the second lies below.
fn top_and_gap(row: &[f32]) -> (u32, f32) {
    let top = (0..row.len())
        .max_by(|&a, &b| row[a].total_cmp(&row[b]))
        .unwrap();
    let others = row.iter().enumerate().filter(|(i, _)| *i != top);
    let second = others.map(|(_, &l)| l).fold(f32::NEG_INFINITY, f32::max);
    (top as u32, row[top] - second)
}

#[test]
fn what_is_charged_equals_to_the_last_bit_what_is_done_again() {
    let real = open_real_for(2);
    let beside = real.beside.expect("memory for two small pools");
    for [charged, done] in charged_and_done(real.engine, beside) {
        assert!(charged == done);
    }
}

#[test]
#[cfg_attr(feature = "composite", ignore = "the kernels alone promise it")]
fn engines_side_by_side_give_to_the_last_bit_what_each_gives_alone() {
    let real = open_real_for(2);
    let beside = real.beside.expect("memory for two small pools");
    for [together, alone] in side_by_side_and_alone(vec![real.engine, beside], 1) {
        assert!(together == alone);
    }
}

#[test]
fn greedy_tokens_of_a_ragged_batch_equal_those_of_candle_transformers() {
    const STEPS: usize = 64;
    let mut real = open_real();
    let engine = &mut real.engine;
    let prompts = prompts(engine);
    let jobs: Vec<GenerateJob> = prompts
        .iter()
        .map(|prompt| greedy(sequence(engine, prompt), STEPS))
        .collect();
    let generated = engine.generate(&jobs, &mut |_| {}).unwrap();
    let first_rows: Vec<Vec<f32>> = (0..prompts.len())
        .map(|i| {
            let start = engine.fork(jobs[i].seq, prompts[i].len(), PURPOSE);
            logits(engine, start)
        })
        .collect();
    let by_one = feed_one_by_one(engine, &prompts[0]);
    let our_own = max_diff(&first_rows[0], &by_one);
    drop(real);

    let mut oracle = Oracle::open();
    let at_once = oracle.step(&prompts[0], 0);
    let rows = prompts[0].iter().enumerate();
    let by_one = rows
        .map(|(at, token)| oracle.step(&[*token], at))
        .last()
        .unwrap();
    let oracles_own = max_diff(&at_once, &by_one);
    let mut largest = 0f32;
    let mut ties = 0;
    for (i, prompt) in prompts.iter().enumerate() {
        assert_eq!(generated[i].tokens.len(), STEPS);
        let (first_row, ties_here) = oracle.follow(prompt, &ids(&generated[i]));
        largest = largest.max(max_diff(&first_row, &first_rows[i]));
        ties += ties_here;
    }
    println!(
        "{} steps compared, {ties} near-ties taken the other way",
        prompts.len() * STEPS
    );
    println!(
        "largest difference of a logit after a prompt: {largest:.3}; between prefill and single rows: ours {our_own:.3}, the oracle's {oracles_own:.3}"
    );
    assert!(largest < TOLERANCE_QUANTISED_LOGITS);
    // Candle's operations alone promise no such thing.
    if !cfg!(feature = "composite") {
        assert_eq!(
            our_own, 0.0,
            "what else is in a batch changes no bit of a row"
        );
    }
}

/// A prompt as long as an agent's, in more than one prefill chunk.
#[test]
fn greedy_tokens_behind_a_long_prompt_equal_those_of_candle_transformers() {
    const STEPS: usize = 32;
    const PROMPT_TOKENS: usize = 1_800;
    let mut real = open_real();
    let engine = &mut real.engine;
    let text = concat!(
        include_str!("../demo/repo/toolshed/store.py"),
        include_str!("../demo/repo/toolshed/ledger.py"),
        include_str!("../demo/repo/toolshed/statement.py"),
        include_str!("../demo/repo/tests/test_store.py"),
        include_str!("../demo/repo/tests/test_ledger.py"),
        include_str!("../demo/repo/tests/test_statement.py"),
        include_str!("../demo/repo/tests/test_calendar.py"),
    );
    let mut prompt = engine.vocabulary().encode_special(text);
    assert!(prompt.len() >= PROMPT_TOKENS, "{} tokens", prompt.len());
    prompt.truncate(PROMPT_TOKENS);
    let seq = sequence(engine, &prompt);
    let generated = engine.generate(&[greedy(seq, STEPS)], &mut |_| {}).unwrap();
    let start = engine.fork(seq, prompt.len(), PURPOSE);
    let ours = logits(engine, start);
    drop(real);

    let (first_row, ties) = Oracle::open().follow(&prompt, &ids(&generated[0]));
    let difference = max_diff(&first_row, &ours);
    println!(
        "{STEPS} steps behind {PROMPT_TOKENS} tokens, {ties} near-ties; first row differs by {difference:.3}"
    );
    assert!(difference < TOLERANCE_QUANTISED_LOGITS);
}

/// candle-transformers' own quantised Qwen2.
struct Oracle(ModelWeights);

impl Oracle {
    fn open() -> Self {
        let mut file = File::open(model_path()).unwrap();
        let content = gguf_file::Content::read(&mut file).unwrap();
        Self(ModelWeights::from_gguf(content, &mut file, &Device::Cpu).unwrap())
    }

    /// The row of logits after `tokens`, which begin at `position`.
    fn step(&mut self, tokens: &[u32], position: usize) -> Vec<f32> {
        let tokens = Tensor::new(tokens, &Device::Cpu).unwrap();
        let tokens = tokens.unsqueeze(0).unwrap();
        let row = self.0.forward(&tokens, position).unwrap();
        row.flatten_all().unwrap().to_vec1().unwrap()
    }

    /// Takes `ours` behind `prompt`, so that every step is compared, and fails
    /// where a token is not the oracle's and no near-tie. Gives the row after
    /// the prompt, and how many near-ties went the other way.
    fn follow(&mut self, prompt: &[u32], ours: &[u32]) -> (Vec<f32>, usize) {
        let first_row = self.step(prompt, 0);
        let mut row = first_row.clone();
        let mut ties = 0;
        for (at, &taken) in ours.iter().enumerate() {
            let (theirs, gap) = top_and_gap(&row);
            if theirs != taken {
                let below = row[theirs as usize] - row[taken as usize];
                println!(
                    "step {at}: {taken}, not {theirs}: {below:.4} below the top (second {gap:.4})"
                );
                assert!(below < NEAR_TIE, "no near-tie");
                ties += 1;
            }
            row = self.step(&[taken], prompt.len() + at);
        }
        (first_row, ties)
    }
}

/// The row of logits after `tokens`, each of them run in a step of its own.
fn feed_one_by_one(engine: &mut LocalEngine, tokens: &[u32]) -> Vec<f32> {
    let seq = engine.new_sequence(PrefixCache::Bypass);
    for token in tokens {
        engine.append(seq, &[*token], PURPOSE).unwrap();
        compute(engine, &[seq]);
    }
    let row = logits(engine, seq);
    engine.release(seq);
    row
}

/// Entropy, varentropy, top-1 probability and margin by f64 sums.
fn reference_figures(row: &[f32]) -> [f64; 4] {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let d = |l: f32| f64::from(l) - f64::from(max);
    let z: f64 = row.iter().map(|&l| d(l).exp()).sum();
    let mean = |f: &dyn Fn(f64) -> f64| -> f64 {
        row.iter().map(|&l| d(l).exp() / z * f(z.ln() - d(l))).sum()
    };
    let entropy = mean(&|surprise| surprise);
    let varentropy = mean(&|surprise| (surprise - entropy).powi(2));
    let (top, gap) = top_and_gap(row);
    let second = f64::from(row[top as usize]) - f64::from(gap) - f64::from(max);
    [entropy, varentropy, 1.0 / z, (1.0 - second.exp()) / z]
}

#[test]
fn figures_of_real_logits_agree_with_sums_in_f64() {
    let mut real = open_real();
    let engine = &mut real.engine;
    let mut largest = [0f64; 4];
    let mut n_rows = 0;
    for prompt in prompts(engine) {
        // Rows along the text: the model is sure of some tokens and not of others.
        let seq = engine.new_sequence(PrefixCache::Use);
        for chunk in prompt.chunks(3) {
            engine.append(seq, chunk, PURPOSE).unwrap();
            compute(engine, &[seq]);
            let expected = reference_figures(&logits(engine, seq));
            let probe = engine.fork(seq, engine.tokens(seq).len(), PURPOSE);
            let generated = engine.generate(&[greedy(probe, 1)], &mut |_| {}).unwrap();
            engine.release(probe);
            let TokenEntropy {
                entropy_nats,
                varentropy,
                top1_prob,
                margin,
                logprob,
                ..
            } = generated[0].tokens[0];
            let got = [entropy_nats, varentropy, top1_prob, margin].map(f64::from);
            for i in 0..4 {
                largest[i] = largest[i].max((got[i] - expected[i]).abs());
            }
            assert!((f64::from(logprob) - expected[2].ln()).abs() < TOLERANCE_ENTROPY_NATS);
            n_rows += 1;
        }
        engine.release(seq);
    }
    println!(
        "{n_rows} rows: entropy within {:.1e} nats, varentropy {:.1e}, top-1 {:.1e}, margin {:.1e}",
        largest[0], largest[1], largest[2], largest[3]
    );
    assert!(largest[0] < TOLERANCE_ENTROPY_NATS);
    // Squares of surprises of up to 30 nats, rounded to f32.
    assert!(largest[1] < 1e-4);
    assert!(largest[2] < 1e-6 && largest[3] < 1e-6);
}

/// Entropy of weights, renormalised, nats.
fn entropy_of(weights: &[f64]) -> f64 {
    let sum: f64 = weights.iter().sum();
    -weights
        .iter()
        .map(|w| w / sum * (w / sum).ln())
        .sum::<f64>()
}

#[test]
fn tool_entropy_by_forked_tails_equals_single_row_prefills() {
    let mut real = open_real();
    let engine = &mut real.engine;
    let text = "<|im_start|>system\nAnswer with a call of one of these tools: view, search, edit, write, run, run_tests, submit.<|im_end|>\n<|im_start|>user\nSome tests of this repository fail. Find out why.<|im_end|>\n<|im_start|>assistant\n<tool_call>\n{\"name\": \"";
    let trunk_tokens = engine.vocabulary().encode_special(text);
    // One name begins another: only the closing delimiter tells them apart.
    let names = [
        "view",
        "search",
        "edit",
        "write",
        "run",
        "run_tests",
        "submit",
    ];
    let paths: Vec<Vec<u32>> = names
        .iter()
        .map(|name| engine.vocabulary().encode(&format!("{name}\",")))
        .collect();
    let seq = prefill(engine, &trunk_tokens);
    let job = ScoreJob {
        seq,
        continuations: paths.clone(),
        purpose: PURPOSE,
    };
    let before = engine.usage().total();
    let scores = &engine.score(&[job]).unwrap()[0];
    let spent = engine.usage().total().computed_tokens - before.computed_tokens;
    let scored: Vec<f64> = scores
        .iter()
        .map(|logprobs| logprobs.iter().map(|&l| f64::from(l)).sum::<f64>().exp())
        .collect();

    let mut brute = Vec::new();
    for path in &paths {
        let mut logprob = 0.0;
        for (at, &token) in path.iter().enumerate() {
            let row = fresh_logits(engine, &[&trunk_tokens[..], &path[..at]].concat());
            let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let z: f64 = row.iter().map(|&l| f64::from(l - max).exp()).sum();
            logprob += f64::from(row[token as usize] - max) - z.ln();
        }
        brute.push(logprob.exp());
    }
    let (ours, reference) = (entropy_of(&scored), entropy_of(&brute));
    println!(
        "tool entropy {ours:.6} nats, by single rows {reference:.6}; {spent} tokens computed; outside the names {:.4}",
        1.0 - scored.iter().sum::<f64>()
    );
    assert!(brute.iter().sum::<f64>() > 0.5, "the names are likely here");
    assert!((ours - reference).abs() < TOLERANCE_TOOL_NATS);
    for ((name, a), b) in names.iter().zip(&scored).zip(&brute) {
        assert!((a - b).abs() < TOLERANCE_TOOL_NATS, "{name}: {a} {b}");
    }
    let longest: usize = paths.iter().map(|path| path.len() - 1).sum();
    assert!(spent as usize <= longest);
}

/// Memory that this process holds now, bytes.
#[cfg(target_os = "linux")]
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.unwrap().split_whitespace().next().unwrap();
    kib.parse::<u64>().unwrap() * 1024
}

fn fork_all(engine: &mut LocalEngine, trunk: SeqId, len: usize, n: usize) -> Vec<SeqId> {
    (0..n).map(|_| engine.fork(trunk, len, PURPOSE)).collect()
}

#[test]
fn forking_8_branches_prefills_nothing_and_copies_no_kv() {
    let mut real = open_real();
    let engine = &mut real.engine;
    let text = prompts(engine).concat();
    let trunk = engine.new_sequence(PrefixCache::Use);
    for trunk_len in [256, 1_024] {
        let grown = trunk_len - engine.tokens(trunk).len();
        let tokens: Vec<u32> = text.iter().copied().cycle().take(grown).collect();
        engine.append(trunk, &tokens, PURPOSE).unwrap();
        compute(engine, &[trunk]);
        let (before, blocks) = (engine.usage().total(), engine.pool_use());
        let branches = fork_all(engine, trunk, trunk_len, 8);
        assert_eq!(engine.pool_use(), blocks, "a fork takes no block");
        let jobs: Vec<GenerateJob> = branches
            .iter()
            .enumerate()
            .map(|(i, &seq)| job(seq, SamplerSettings::at(1.0), i as u64, 2))
            .collect();
        engine.generate(&jobs, &mut |_| {}).unwrap();
        let after = engine.usage().total();
        assert_eq!(after.forks - before.forks, 8);
        assert_eq!(after.computed_tokens, before.computed_tokens);
        // Both trunks fill their last block: the branches' writes copy nothing.
        assert_eq!(after.blocks_copied, before.blocks_copied);
        assert_eq!(
            after.reused_tokens - before.reused_tokens,
            8 * trunk_len as u64
        );
        engine.check_integrity();
        branches.into_iter().for_each(|seq| engine.release(seq));
    }
    engine.release(trunk);
    assert_eq!(engine.pool_use().referenced, 0);
}

#[test]
fn a_sibling_of_a_finished_action_is_sampled_without_computing() {
    let mut real = open_real();
    let engine = &mut real.engine;
    let prompt = prompts(engine).swap_remove(1);
    let trunk = sequence(engine, &prompt);
    let action = engine.generate(&[greedy(trunk, 12)], &mut |_| {}).unwrap();
    let before = engine.usage().total();
    // Back to the action's start, known only now to have been uncertain.
    let sibling = engine.fork(trunk, prompt.len(), PURPOSE);
    let again = engine.fork(trunk, prompt.len(), PURPOSE);
    let other = GenerateJob {
        first_token_not: vec![action[0].tokens[0].token],
        distinct: None,
        rng: RngKey::from_seed(1),
        ..job(sibling, SamplerSettings::at(1.0), 1, 12)
    };
    let generated = engine
        .generate(&[other, greedy(again, 12)], &mut |_| {})
        .unwrap();
    let after = engine.usage().total();
    assert_eq!(after.computed_tokens, before.computed_tokens);
    assert_eq!(after.decoded_tokens - before.decoded_tokens, 24);
    assert_ne!(ids(&generated[0])[0], ids(&action[0])[0]);
    assert_eq!(ids(&generated[1])[0], ids(&action[0])[0]);
}

/// Of a digit's expectation, 0 to 3, over quantised weights: logits move as with
/// `TOLERANCE_QUANTISED_LOGITS`, the four digits of one row mostly together. Seen
/// is none at all: several rows in one product are each what they are alone.
const TOLERANCE_DIGITS_QUANTISED: f32 = 0.15;

#[test]
fn judging_by_fork_gives_the_digits_of_a_prefill_at_under_a_fifth_of_its_tokens() {
    const TRUNK_TOKENS: usize = 800;
    let mut real = open_real();
    let engine = &mut real.engine;
    let text = concat!(
        "<|im_start|>system\nYou fix bugs.<|im_end|>\n<|im_start|>user\n",
        include_str!("../demo/repo/toolshed/store.py"),
        include_str!("../demo/repo/toolshed/ledger.py"),
        include_str!("../demo/repo/toolshed/statement.py"),
        include_str!("../demo/repo/toolshed/calendar.py"),
    );
    let turn = engine
        .vocabulary()
        .encode_special("\nA test fails. Fix it.<|im_end|>\n<|im_start|>assistant\n");
    let mut trunk = engine.vocabulary().encode_special(text);
    assert!(trunk.len() >= TRUNK_TOKENS, "{} tokens", trunk.len());
    trunk.truncate(TRUNK_TOKENS - turn.len());
    trunk.extend(turn);
    let asked = Asked {
        question: include_str!("../../src/search/decoder/prompts/judge.md"),
        dimensions: &[
            "step consistency",
            "context awareness",
            "goal prioritisation",
            "expected tool use",
            "diagnostic precision",
        ],
        n_siblings: 4,
        action_tokens: 32,
    };
    judge_both_ways(engine, &trunk, &asked, TOLERANCE_DIGITS_QUANTISED);
}

#[cfg(target_os = "linux")]
#[test]
fn memory_stays_within_its_plan() {
    let before = resident_bytes();
    let mut real = open_real();
    let opened = resident_bytes();
    let engine = &mut real.engine;
    let text = prompts(engine).concat();
    // More than a batch, then several rows: every kind of product has run.
    let tokens: Vec<u32> = text.iter().copied().cycle().take(600).collect();
    let trunk = prefill(engine, &tokens);
    let branches = fork_all(engine, trunk, 600, 8);
    let jobs: Vec<GenerateJob> = branches.iter().map(|&seq| greedy(seq, 3)).collect();
    engine.generate(&jobs, &mut |_| {}).unwrap();
    let plan = real.plan;
    let block_bytes = plan.kv_bytes / plan.kv_blocks as u64;
    let kv_bytes = engine.pool_use().referenced as u64 * block_bytes;
    let taken = resident_bytes() - before;
    let planned = plan.weights_bytes + plan.work_bytes + kv_bytes;
    println!(
        "MiB: {} after opening, {} in use, {} planned for it",
        (opened - before) >> 20,
        taken >> 20,
        planned >> 20
    );
    assert!(taken <= planned);
}
