//! Several engines over one model, and counts of work that was not done again.
use crate::common::*;
use egss::base::{Purpose, SamplerSettings, Usage, UsageByPurpose};
use egss::engine::{Engine, EngineSettings, LocalEngine, PrefixCache, ScoreJob, open};
use std::sync::Barrier;

const SAMPLED: SamplerSettings = SamplerSettings {
    temperature: 1.0,
    ..SamplerSettings::GREEDY
};

/// What came out of some work, to the last bit, and what it cost.
#[derive(PartialEq)]
pub struct Worked {
    pub seen: Vec<u32>,
    pub spent: UsageByPurpose,
}

/// A bit of everything.
fn work(engine: &mut LocalEngine, seed: u32) -> Worked {
    let before = engine.usage();
    let mut seen = Vec::new();
    let text: Vec<u32> = prompt(150).iter().map(|t| 3 + (t + seed) % 300).collect();
    let trunk = prefill(engine, &text);
    let branch = engine.fork(trunk, 140, Purpose::Judge);
    let alone = engine.new_sequence(PrefixCache::Bypass);
    engine.append(alone, &text[..90], PURPOSE).unwrap();
    let jobs = [(trunk, 1), (branch, 2), (alone, 3)];
    let jobs = jobs.map(|(seq, n)| job(seq, SAMPLED, u64::from(seed) + n, 20));
    for generated in engine.generate(&jobs, &mut |_| {}).unwrap() {
        seen.extend(ids(&generated));
        seen.extend(generated.tokens.iter().map(|t| t.entropy_nats.to_bits()));
    }
    // Siblings leave a step's start, another follows its end.
    let mut siblings = Vec::new();
    for n in 0..3 {
        let seq = engine.fork(trunk, text.len(), Purpose::Agent);
        let mut sibling = job(seq, SAMPLED, u64::from(seed) + 10 + n, 12);
        sibling.distinct = Some(0);
        sibling.first_token_not = vec![engine.tokens(trunk)[text.len()]];
        siblings.push(sibling);
    }
    let whole = engine.tokens(branch).len();
    siblings.push(job(
        engine.fork(branch, whole, Purpose::Agent),
        SAMPLED,
        7,
        6,
    ));
    for generated in engine.generate(&siblings, &mut |_| {}).unwrap() {
        seen.extend(ids(&generated));
    }
    let again = sequence(engine, &[engine.tokens(branch), &text[..5]].concat());
    engine
        .compute(&[again], Purpose::Selection, &mut |_| {})
        .unwrap();
    seen.extend(logits(engine, again).iter().map(|x| x.to_bits()));
    let asked = ScoreJob {
        seq: again,
        continuations: vec![vec![5, 6, 7], vec![5, 8], vec![9]],
        purpose: Purpose::Judge,
    };
    let scores = engine.score(&[asked]).unwrap();
    seen.extend(scores.iter().flatten().flatten().map(|x| x.to_bits()));
    for seq in engine.living() {
        engine.release(seq);
    }
    engine.check_integrity();
    Worked {
        seen,
        spent: difference(before, engine.usage()),
    }
}

/// What was counted from one time to another, times left out.
fn difference(before: UsageByPurpose, after: UsageByPurpose) -> UsageByPurpose {
    let mut spent = UsageByPurpose::default();
    for purpose in Purpose::ALL {
        let (b, a) = (before[purpose], after[purpose]);
        spent[purpose] = Usage {
            decoded_tokens: a.decoded_tokens - b.decoded_tokens,
            computed_tokens: a.computed_tokens - b.computed_tokens,
            reused_tokens: a.reused_tokens - b.reused_tokens,
            forks: a.forks - b.forks,
            ..Usage::default()
        };
    }
    spent
}

/// Runs `rounds` of work on every engine of a model at the same time, and on one of
/// them alone: by engine and round, what both gave.
pub fn side_by_side_and_alone(engines: Vec<LocalEngine>, rounds: u32) -> Vec<[Worked; 2]> {
    let seeds = |engine: u32| (0..rounds).map(move |round| engine + 10 * round);
    let barrier = Barrier::new(engines.len());
    let mut engines = engines;
    let together: Vec<Vec<Worked>> = std::thread::scope(|scope| {
        let threads: Vec<_> = engines
            .iter_mut()
            .zip(0..)
            .map(|(engine, i)| {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    seeds(i).map(|seed| work(engine, seed)).collect()
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let mut alone = engines.swap_remove(0);
    let mut pairs = Vec::new();
    for (i, worked) in (0..).zip(together) {
        alone.forget_prefixes();
        pairs.extend(
            worked
                .into_iter()
                .zip(seeds(i))
                .map(|(worked, seed)| [worked, work(&mut alone, seed)]),
        );
    }
    pairs
}

/// The tiny checkpoint is in f32, by products whose order of sums depends on the
/// batch: its tokens may differ. Those of a quantised model do not (real_model).
#[test]
fn engines_side_by_side_count_what_each_counts_alone() {
    let settings = EngineSettings {
        context_max: 256,
        kv_bytes_max: 4 << 20,
        engines_max: 3,
    };
    let opened = open(&fixture("qwen2-tiny"), &settings, &mut |_| {}).unwrap();
    assert_eq!((opened.beside.len(), opened.plan.n_engines), (2, 3));
    let engines = std::iter::once(opened.engine).chain(opened.beside);
    for [together, alone] in side_by_side_and_alone(engines.collect(), 6) {
        assert_eq!(together.spent, alone.spent);
        assert_eq!(together.seen.len(), alone.seen.len());
    }
}

#[test]
fn a_new_bill_counts_what_an_empty_cache_would() {
    let mut forgetful = open_tiny(256, 256);
    let mut billed = open_tiny(256, 256);
    // Seeds repeat: what the later ones need is all there.
    for seed in [1, 2, 1, 2, 2] {
        forgetful.forget_prefixes();
        billed.new_bill();
        let fresh = work(&mut forgetful, seed);
        assert_eq!(work(&mut billed, seed).spent, fresh.spent, "seed {seed}");
    }
    // On the same bill a repeated prompt costs less.
    let again = work(&mut billed, 2).spent.total();
    billed.new_bill();
    let anew = work(&mut billed, 2).spent.total();
    assert!(again.computed_tokens < anew.computed_tokens);
}

/// What is charged and what is really done over again.
pub fn charged_and_done(mut billed: LocalEngine, mut forgetful: LocalEngine) -> Vec<[Worked; 2]> {
    let mut pairs = Vec::new();
    for seed in [1, 1] {
        forgetful.forget_prefixes();
        billed.new_bill();
        pairs.push([work(&mut billed, seed), work(&mut forgetful, seed)]);
    }
    pairs
}
