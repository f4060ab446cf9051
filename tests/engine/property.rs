//! Random use of an engine: whatever is appended, computed, generated, forked
//! and released, a sequence behaves as if it had been prefilled alone.
use crate::common::*;
use egss::base::{SamplerSettings, SeqId};
use egss::engine::{Engine, EngineError, Finish, LocalEngine, PrefixCache, ScoreJob};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::RngSeed;

const VOCAB: u32 = 320;

#[derive(Clone, Debug)]
enum Op {
    New(Vec<u32>),
    /// A new sequence of what another one began with, and of other tokens.
    Repeat(Index, Index, Vec<u32>),
    Append(Index, Vec<u32>),
    Compute(Vec<Index>),
    Generate {
        who: Vec<Index>,
        tokens_max: usize,
        temperature: f32,
        seed: u64,
    },
    Fork(Index, Index),
    /// Continuations with different first tokens.
    Score(Index, Vec<Vec<u32>>),
    Release(Index),
    /// The prefix cache is emptied.
    Forget,
}

fn tokens(max: usize) -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(0..VOCAB, 1..=max)
}

fn op() -> impl Strategy<Value = Op> {
    let who = || prop::collection::vec(any::<Index>(), 1..4);
    prop_oneof![
        2 => tokens(40).prop_map(Op::New),
        2 => (any::<Index>(), any::<Index>(), tokens(5))
            .prop_map(|(text, at, tokens)| Op::Repeat(text, at, tokens)),
        3 => (any::<Index>(), tokens(20)).prop_map(|(who, tokens)| Op::Append(who, tokens)),
        3 => who().prop_map(Op::Compute),
        4 => (who(), 1..8usize, prop_oneof![Just(0.0f32), Just(1.0)], any::<u64>()).prop_map(
            |(who, tokens_max, temperature, seed)| Op::Generate { who, tokens_max, temperature, seed }
        ),
        5 => (any::<Index>(), any::<Index>()).prop_map(|(who, at)| Op::Fork(who, at)),
        1 => (any::<Index>(), prop::collection::vec(tokens(5), 1..4)).prop_map(|(who, mut names)| {
            names.iter_mut().enumerate().for_each(|(i, name)| name[0] = i as u32);
            Op::Score(who, names)
        }),
        2 => any::<Index>().prop_map(Op::Release),
        1 => Just(Op::Forget),
    ]
}

/// An engine beside what its sequences must hold.
struct World {
    engine: LocalEngine,
    living: Vec<(SeqId, Vec<u32>)>,
    /// No more sequences than this live between two operations.
    living_max: usize,
    /// What released sequences held.
    texts: Vec<Vec<u32>>,
    /// Tokens of all sequences that were released, scored tails included.
    released_tokens: u64,
    /// The pool is small: running out of it is expected.
    may_fill: bool,
}

impl World {
    fn new(blocks: usize, context_max: usize, living_max: usize, may_fill: bool) -> Self {
        Self {
            engine: open_tiny(blocks, context_max),
            living: Vec::new(),
            living_max,
            texts: Vec::new(),
            released_tokens: 0,
            may_fill,
        }
    }

    /// Distinct living sequences.
    fn pick(&self, who: &[Index]) -> Vec<usize> {
        let mut picked: Vec<usize> = who.iter().map(|who| who.index(self.living.len())).collect();
        picked.sort_unstable();
        picked.dedup();
        picked
    }

    fn expect<T>(&self, result: Result<T, EngineError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(EngineError::KvPoolFull { .. }) if self.may_fill => None,
            Err(error) => panic!("{error}"),
        }
    }

    fn append(&mut self, index: usize, tokens: &[u32]) {
        let (seq, model) = &mut self.living[index];
        let fits = model.len() + tokens.len() <= self.engine.context_max();
        match self.engine.append(*seq, tokens, PURPOSE) {
            Ok(()) => {
                assert!(fits);
                model.extend_from_slice(tokens);
            }
            Err(EngineError::ContextFull { .. }) => assert!(!fits),
            Err(error) => panic!("{error}"),
        }
    }

    fn start(&mut self, tokens: &[u32]) {
        let seq = self.engine.new_sequence(PrefixCache::Use);
        self.living.push((seq, Vec::new()));
        self.append(self.living.len() - 1, tokens);
    }

    fn apply(&mut self, op: &Op) {
        if self.living.is_empty() && !matches!(op, Op::New(_)) {
            return;
        }
        match op {
            Op::New(tokens) => self.start(tokens),
            Op::Repeat(text, at, tokens) => {
                let living = self.living.iter().map(|(_, model)| model);
                let texts: Vec<&Vec<u32>> = living.chain(&self.texts).collect();
                let text = text.get(&texts);
                let start = &text[..at.index(text.len() + 1)];
                self.start(&[start, &tokens[..]].concat());
            }
            Op::Forget => self.engine.forget_prefixes(),
            Op::Append(who, tokens) => self.append(who.index(self.living.len()), tokens),
            Op::Compute(who) => {
                let seqs: Vec<SeqId> = self.pick(who).iter().map(|&i| self.living[i].0).collect();
                let computed = self.engine.compute(&seqs, PURPOSE, &mut |_| {});
                self.expect(computed);
            }
            Op::Generate {
                who,
                tokens_max,
                temperature,
                seed,
            } => {
                let mut who = self.pick(who);
                who.retain(|&i| !self.living[i].1.is_empty());
                self.generate(&who, *tokens_max, *temperature, *seed);
            }
            Op::Fork(who, at) => self.fork(who.index(self.living.len()), at),
            Op::Score(who, names) => self.score(who.index(self.living.len()), names),
            Op::Release(who) => self.release(who.index(self.living.len())),
        }
        while self.living.len() > self.living_max {
            self.release(0);
        }
        self.engine.check_integrity();
        for (seq, model) in &self.living {
            assert_eq!(self.engine.tokens(*seq), model);
        }
    }

    /// What was generated is appended, and each token's log-probability is that
    /// of a fresh prefill.
    fn generate(&mut self, who: &[usize], tokens_max: usize, temperature: f32, seed: u64) {
        let sampler = SamplerSettings::at(temperature);
        let jobs: Vec<_> = who
            .iter()
            .map(|&i| job(self.living[i].0, sampler, seed ^ i as u64, tokens_max))
            .collect();
        let generated = self.engine.generate(&jobs, &mut |_| {}).unwrap();
        for (&i, generated) in who.iter().zip(&generated) {
            let before = self.living[i].1.clone();
            let ids = ids(generated);
            let after = before.len() + ids.len();
            match generated.finish {
                Finish::TokensMax => assert_eq!(ids.len(), tokens_max),
                Finish::ContextFull => assert_eq!(after, self.engine.context_max()),
                Finish::KvPoolFull => assert!(self.may_fill),
                other => panic!("{other:?} without a grammar or stop tokens"),
            }
            self.living[i].1.extend(&ids);
            if self.may_fill || ids.is_empty() {
                continue;
            }
            let fresh = prefill_afresh(&mut self.engine, &before);
            let score = ScoreJob {
                seq: fresh,
                continuations: vec![ids.clone()],
                purpose: PURPOSE,
            };
            let scores = self.engine.score(&[score]).unwrap();
            for (token, score) in generated.tokens.iter().zip(&scores[0][0]) {
                assert!((token.logprob - score).abs() < TOLERANCE_F32);
            }
            self.engine.release(fresh);
            let tails = if ids.len() > 1 { after - 1 } else { 0 };
            self.released_tokens += (before.len() + tails) as u64;
        }
    }

    /// A fork copies no KV, takes no block and computes nothing.
    fn fork(&mut self, index: usize, at: &Index) {
        let (seq, model) = &self.living[index];
        let len = at.index(model.len() + 1);
        let (usage, blocks) = (self.engine.usage().total(), self.engine.pool_use());
        let branch = self.engine.fork(*seq, len, PURPOSE);
        let after = self.engine.usage().total();
        assert_eq!(after.computed_tokens, usage.computed_tokens);
        assert_eq!(after.blocks_copied, usage.blocks_copied);
        assert_eq!(after.forks, usage.forks + 1);
        assert_eq!(self.engine.pool_use(), blocks);
        let tokens = model[..len].to_vec();
        self.living.push((branch, tokens));
    }

    /// Scoring leaves the sequence as it was.
    fn score(&mut self, index: usize, names: &[Vec<u32>]) {
        let (seq, model) = self.living[index].clone();
        let longest = names.iter().map(|name| name.len() - 1).max().unwrap_or(0);
        if model.is_empty() || model.len() + longest > self.engine.context_max() {
            return;
        }
        let job = ScoreJob {
            seq,
            continuations: names.to_vec(),
            purpose: PURPOSE,
        };
        let computed = self.engine.compute(&[seq], PURPOSE, &mut |_| {});
        if self.expect(computed).is_none() {
            return;
        }
        let blocks = self.engine.pool_use();
        let scored = self.engine.score(&[job]);
        assert_eq!(self.engine.pool_use().referenced, blocks.referenced);
        let Some(scores) = self.expect(scored) else {
            return;
        };
        for (name, scores) in names.iter().zip(&scores[0]) {
            assert_eq!(name.len(), scores.len());
            assert!(scores.iter().all(|score| *score <= 0.0));
        }
        for name in names.iter().filter(|name| name.len() > 1) {
            self.released_tokens += (model.len() + name.len() - 1) as u64;
        }
    }

    fn release(&mut self, index: usize) {
        let (seq, model) = self.living.swap_remove(index);
        let computed = self.engine.compute(&[seq], PURPOSE, &mut |_| {});
        self.expect(computed);
        self.engine.release(seq);
        self.released_tokens += model.len() as u64;
        self.texts.push(model);
    }

    /// Every token was decoded, computed or reused, and counted once.
    fn check_usage(&mut self) {
        let seqs: Vec<SeqId> = self.living.iter().map(|(seq, _)| *seq).collect();
        compute(&mut self.engine, &seqs);
        let living: usize = self.living.iter().map(|(_, model)| model.len()).sum();
        let usage = self.engine.usage().total();
        assert_eq!(
            usage.decoded_tokens + usage.computed_tokens + usage.reused_tokens,
            self.released_tokens + living as u64 + self.engine.rerun_tokens(),
            "{usage:?}"
        );
        assert_eq!(
            self.engine.seen_tokens(),
            self.released_tokens + living as u64,
            "the engine's own count is that of its sequences"
        );
    }

    /// All were computed in one batch, and each alone, from nothing, is the same.
    fn check_rows(&mut self) {
        for (seq, model) in std::mem::take(&mut self.living) {
            if !model.is_empty() {
                let batched = logits(&self.engine, seq);
                let single = fresh_logits(&mut self.engine, &model);
                let diff = max_diff(&batched, &single);
                assert!(diff < TOLERANCE_F32, "{} tokens: {diff}", model.len());
            }
            self.engine.release(seq);
        }
    }

    fn check_all_free(&mut self) {
        assert_eq!(self.engine.pool_use().referenced, 0);
        self.engine.check_integrity();
        self.engine.forget_prefixes();
        let blocks = self.engine.pool_use();
        assert_eq!((blocks.free, blocks.cached), (blocks.total, 0));
        self.engine.check_integrity();
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        max_shrink_iters: 200,
        rng_seed: RngSeed::Fixed(2),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn forks_equal_replay_and_batched_rows_equal_single_rows(ops in prop::collection::vec(op(), 1..24)) {
        let mut world = World::new(512, 128, usize::MAX, false);
        for op in &ops {
            world.apply(op);
        }
        world.check_usage();
        world.check_rows();
        world.check_all_free();
    }

    /// Two sequences and what measures them take 13 blocks at most, and a text
    /// that was released 4: the cache gives up blocks all the time, and what
    /// tables hold never fills the pool.
    #[test]
    fn a_cache_that_gives_up_blocks_serves_what_a_replay_computes(ops in prop::collection::vec(op(), 1..48)) {
        let mut world = World::new(14, 64, 2, false);
        for op in &ops {
            world.apply(op);
        }
        world.check_usage();
        world.check_rows();
        world.check_all_free();
    }

    #[test]
    fn a_pool_that_fills_loses_nothing(ops in prop::collection::vec(op(), 1..24)) {
        let mut world = World::new(10, 64, usize::MAX, true);
        for op in &ops {
            world.apply(op);
        }
        // The cache of each sequence is read through a fork that runs its last
        // token again; those that find no block wait until others are released.
        let mut reference = open_tiny(64, 64);
        let mut waiting = std::mem::take(&mut world.living);
        waiting.retain(|(_, model)| !model.is_empty());
        while !waiting.is_empty() {
            let n_waiting = waiting.len();
            let mut full = Vec::new();
            for (seq, model) in waiting {
                let (last, before) = model.split_last().unwrap();
                let engine = &mut world.engine;
                let probe = engine.fork(seq, before.len(), PURPOSE);
                engine.append(probe, &[*last], PURPOSE).unwrap();
                let computed = engine.compute(&[probe], PURPOSE, &mut |_| {});
                if computed.is_ok() {
                    let diff = max_diff(&logits(engine, probe), &fresh_logits(&mut reference, &model));
                    prop_assert!(diff < TOLERANCE_F32, "{} tokens: {diff}", model.len());
                    engine.release(seq);
                } else {
                    full.push((seq, model));
                }
                engine.release(probe);
            }
            if full.len() == n_waiting {
                // None could go on beside the others.
                world.engine.release(full.pop().unwrap().0);
            }
            waiting = full;
        }
        let empty: Vec<SeqId> = world.living.drain(..).map(|(seq, _)| seq).collect();
        empty.into_iter().for_each(|seq| world.engine.release(seq));
        world.check_all_free();
    }
}
