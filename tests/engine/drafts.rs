//! Drafts change no token, no entropy, no count and no block: two engines do the same, one of
//! them with drafts.
use crate::common::*;
use egss::base::{SamplerSettings, SeqId, UsageByPurpose};
use egss::checkpoint::Checkpoint;
use egss::engine::{
    Engine, EngineError, EngineSettings, GenerateJob, LocalEngine, PrefixCache, open_checkpoint,
};
use egss::ops::Backend;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::RngSeed;
use std::sync::{LazyLock, Mutex, PoisonError};

/// Bytes of a KV block of the shape `tiny`: 3 layers, keys and values, 2 heads of 64, 16
/// positions, f32.
const BLOCK_BYTES: u64 = 3 * 2 * 2 * 64 * 16 * 4;

/// An engine of quantised random weights: its rows have the same bits in every batch.
fn open_quantised(blocks: usize, context_max: usize) -> LocalEngine {
    let checkpoint = Checkpoint::random("tiny:q8_0").unwrap();
    let settings = EngineSettings {
        context_max,
        kv_bytes_max: blocks as u64 * BLOCK_BYTES,
        engines_max: 1,
    };
    let opened = open_checkpoint(&checkpoint, &settings, &Backend::cpu(), &mut |_| {});
    let engine = opened.unwrap().engine;
    assert_eq!(engine.pool_use().total, blocks);
    engine
}

/// So few different tokens that texts repeat themselves.
const VOCAB: u32 = 6;

#[derive(Clone, Debug)]
enum Op {
    New(Vec<u32>),
    Append(Index, Vec<u32>),
    Compute(Index),
    Generate(Vec<Ask>),
    Fork(Index, Index),
    Release(Index),
}

/// A job but for its sequence.
#[derive(Clone, Debug)]
struct Ask {
    who: Index,
    tokens_max: usize,
    sampler: SamplerSettings,
    seed: u64,
    stop: Option<u32>,
    is_distinct: bool,
    grammar: Option<&'static str>,
}

fn tokens(max: usize) -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(0..VOCAB, 1..=max)
}

fn sampler() -> impl Strategy<Value = SamplerSettings> {
    prop_oneof![
        2 => Just(SamplerSettings::GREEDY),
        1 => Just(SamplerSettings::at(0.7)),
        1 => Just(SamplerSettings {
            top_k: 4,
            top_p: 0.9,
            ..SamplerSettings::at(0.7)
        }),
    ]
}

/// Choices between forced texts, and a repetition without an end.
const GRAMMARS: [&str; 2] = [
    r#"start: ("self.items.append(" | "self.total += ") /[a-c]{1,3}/ ")" ("\n" start)?"#,
    r#"start: ("x = [" /[0-9]/ "]\n")+"#,
];

fn ask() -> impl Strategy<Value = Ask> {
    let stop = prop_oneof![3 => Just(None), 1 => (0..256u32).prop_map(Some)];
    let grammar = prop_oneof![
        2 => Just(None),
        1 => prop::sample::select(&GRAMMARS[..]).prop_map(Some),
    ];
    (
        any::<Index>(),
        1..40usize,
        sampler(),
        any::<u64>(),
        stop,
        any::<bool>(),
        grammar,
    )
        .prop_map(
            |(who, tokens_max, sampler, seed, stop, is_distinct, grammar)| Ask {
                who,
                tokens_max,
                sampler,
                seed,
                stop,
                is_distinct,
                grammar,
            },
        )
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => tokens(40).prop_map(Op::New),
        2 => (any::<Index>(), tokens(20)).prop_map(|(who, tokens)| Op::Append(who, tokens)),
        1 => any::<Index>().prop_map(Op::Compute),
        6 => prop::collection::vec(ask(), 1..4).prop_map(Op::Generate),
        4 => (any::<Index>(), any::<Index>()).prop_map(|(who, at)| Op::Fork(who, at)),
        1 => any::<Index>().prop_map(Op::Release),
    ]
}

/// The results of an operation, to the last bit.
type Said = Vec<u32>;

/// An engine without drafts, and one with.
struct Twins {
    plain: LocalEngine,
    drafted: LocalEngine,
    living: Vec<SeqId>,
    n_cases: u32,
    /// Whether drafts do not depend on how fast steps are.
    is_fixed: bool,
    /// Of the one without drafts, and of the other.
    n_steps: [usize; 2],
}

impl Twins {
    fn new(blocks: usize, context_max: usize, n_tokens: Option<usize>) -> Self {
        let (plain, mut drafted) = (
            open_quantised(blocks, context_max),
            open_quantised(blocks, context_max),
        );
        drafted.draft(n_tokens);
        Self {
            plain,
            drafted,
            living: Vec::new(),
            n_cases: 0,
            is_fixed: n_tokens.is_some(),
            n_steps: [0; 2],
        }
    }

    /// Does it with both.
    fn both(&mut self, act: impl Fn(&mut LocalEngine) -> Said) {
        let (plain, drafted) = (act(&mut self.plain), act(&mut self.drafted));
        assert_eq!(plain, drafted);
        assert_eq!(counts(&self.plain), counts(&self.drafted));
        assert_eq!(self.plain.pool_use(), self.drafted.pool_use());
        assert_eq!(self.plain.seen_tokens(), self.drafted.seen_tokens());
        assert_eq!(self.plain.rerun_tokens(), self.drafted.rerun_tokens());
        self.drafted.check_integrity();
        assert_eq!(self.plain.usage().total().rejected_rows, 0);
        for &seq in &self.living {
            assert_eq!(self.plain.tokens(seq), self.drafted.tokens(seq));
        }
    }

    /// Ends a case. After the last of them, some drafts were right and some were not.
    fn release_all(&mut self) {
        for seq in std::mem::take(&mut self.living) {
            self.both(|engine| {
                engine.release(seq);
                vec![]
            });
        }
        for engine in [&mut self.plain, &mut self.drafted] {
            engine.forget_prefixes();
            assert_eq!(engine.pool_use().free, engine.pool_use().total);
        }
        self.n_cases += 1;
        if self.n_cases == CASES && self.is_fixed {
            let [plain, drafted] = self.n_steps;
            assert!(drafted < plain, "{drafted} steps, {plain} without drafts");
            assert!(self.drafted.usage().total().rejected_rows > 0);
        }
    }

    fn apply(&mut self, op: &Op) {
        if self.living.is_empty() && !matches!(op, Op::New(_)) {
            return;
        }
        let pick = |who: &Index| *who.get(&self.living);
        match op {
            Op::New(tokens) => {
                self.both(|engine| vec![sequence(engine, tokens).0 as u32]);
                self.living = self.plain.living();
            }
            Op::Append(who, tokens) => {
                let seq = pick(who);
                self.both(|engine| match engine.append(seq, tokens, PURPOSE) {
                    Ok(()) => vec![1],
                    Err(EngineError::ContextFull { .. }) => vec![0],
                    Err(error) => panic!("{error}"),
                });
            }
            Op::Compute(who) => {
                let seq = pick(who);
                self.both(
                    |engine| match engine.compute(&[seq], PURPOSE, &mut |_| {}) {
                        Ok(()) => engine
                            .logits(seq)
                            .unwrap()
                            .iter()
                            .map(|x| x.to_bits())
                            .collect(),
                        Err(EngineError::KvPoolFull { .. }) => vec![],
                        Err(error) => panic!("{error}"),
                    },
                );
            }
            Op::Generate(asks) => {
                let mut jobs: Vec<GenerateJob> = Vec::new();
                for ask in asks {
                    let seq = pick(&ask.who);
                    let is_new = jobs.iter().all(|job| job.seq != seq);
                    if is_new && !self.plain.tokens(seq).is_empty() {
                        let mut job = job(seq, ask.sampler, ask.seed, ask.tokens_max);
                        job.stop_tokens.extend(ask.stop);
                        job.distinct = ask.is_distinct.then_some(0);
                        job.grammar = ask.grammar.map(str::to_owned);
                        jobs.push(job);
                    }
                }
                let n_steps = std::cell::Cell::new([0; 2]);
                self.both(|engine| {
                    let (said, n) = generate(engine, &jobs);
                    let [before, last] = n_steps.get();
                    n_steps.set([before + last, n]);
                    said
                });
                let [plain, drafted] = n_steps.get();
                self.n_steps[0] += plain;
                self.n_steps[1] += drafted;
            }
            Op::Fork(who, at) => {
                let seq = pick(who);
                let len = at.index(self.plain.tokens(seq).len() + 1);
                self.both(|engine| vec![engine.fork(seq, len, PURPOSE).0 as u32]);
                self.living = self.plain.living();
            }
            Op::Release(who) => {
                let seq = pick(who);
                self.living.retain(|&other| other != seq);
                self.both(|engine| {
                    engine.release(seq);
                    vec![]
                });
            }
        }
    }
}

fn counts(engine: &LocalEngine) -> UsageByPurpose {
    let mut usage = engine.usage();
    for purpose in egss::base::Purpose::ALL {
        usage[purpose].rejected_rows = 0;
        usage[purpose].decode_steps = 0;
        usage[purpose].wall_ms = 0;
    }
    usage
}

/// All that jobs say: tokens, figures, ends; and the steps that it took.
fn generate(engine: &mut LocalEngine, jobs: &[GenerateJob]) -> (Said, usize) {
    let (mut said, mut n_steps) = (Vec::new(), 0);
    for generated in engine.generate(jobs, &mut |_| n_steps += 1).unwrap() {
        for token in &generated.tokens {
            let figures = [token.entropy_nats, token.logprob].map(f32::to_bits);
            said.push(token.token);
            said.extend(figures);
        }
        said.push(generated.finish as u32);
    }
    (said, n_steps)
}

const CASES: u32 = 24;

static ROOMY: LazyLock<Mutex<Twins>> = LazyLock::new(|| Mutex::new(Twins::new(512, 256, None)));
static FULL: LazyLock<Mutex<Twins>> = LazyLock::new(|| Mutex::new(Twins::new(12, 96, Some(31))));

proptest! {
    #![proptest_config(ProptestConfig {
        cases: CASES,
        max_shrink_iters: 100,
        rng_seed: RngSeed::Fixed(7),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_is_done_is_the_same_with_drafts(ops in prop::collection::vec(op(), 1..24)) {
        let mut twins = ROOMY.lock().unwrap_or_else(PoisonError::into_inner);
        ops.iter().for_each(|op| twins.apply(op));
        twins.release_all();
    }

    #[test]
    fn a_pool_that_fills_ends_the_same_with_drafts(ops in prop::collection::vec(op(), 1..32)) {
        let mut twins = FULL.lock().unwrap_or_else(PoisonError::into_inner);
        ops.iter().for_each(|op| twins.apply(op));
        twins.release_all();
    }
}

const START: [u32; 20] = [7; 20];

/// A greedy model of random weights goes in circles: what it says is drafted, and right.
#[test]
fn what_repeats_itself_takes_fewer_steps() {
    let mut engine = open_quantised(512, 512);
    engine.draft(Some(24));
    let seq = prefill(&mut engine, &START);
    let mut n_steps = 0;
    let job = greedy(seq, 300);
    let generated = engine.generate(&[job], &mut |_| n_steps += 1).unwrap();
    assert_eq!(generated[0].tokens.len(), 300);
    // A sibling of the same fork says the same.
    let fork = engine.fork(seq, 20, PURPOSE);
    let mut n_again = 0;
    engine
        .generate(&[greedy(fork, 300)], &mut |_| n_again += 1)
        .unwrap();
    assert_eq!(engine.tokens(fork), engine.tokens(seq));
    println!("{n_steps} and {n_again} steps of 300 tokens");
    assert!(n_again < 100, "{n_again}");
    assert!(n_steps < 300, "{n_steps}");
    let bypass = engine.new_sequence(PrefixCache::Bypass);
    engine.append(bypass, &START, PURPOSE).unwrap();
    engine
        .generate(&[greedy(bypass, 300)], &mut |_| {})
        .unwrap();
    assert_eq!(engine.tokens(bypass), engine.tokens(seq));
}
