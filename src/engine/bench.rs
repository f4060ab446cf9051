//! What a fork costs, measured on a running engine.
use super::api::{Engine, EngineError, Finish, GenerateJob, PrefixCache, Progress};
use super::local::LocalEngine;
use crate::base::{Purpose, RngKey, SamplerSettings, SeqId};
use serde::Serialize;
use std::time::Instant;

/// One measurement: branches off one trunk.
pub struct ForkBench {
    pub trunk_tokens: usize,
    pub branches: usize,
    /// Tokens that each branch decodes in a round; at least 4.
    pub tokens: usize,
    /// Rounds measured, each from new forks; one more runs before them.
    pub rounds: usize,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct ForkRow {
    pub trunk_tokens: usize,
    pub branches: usize,
    pub rounds: usize,
    /// Median time of one fork of the sequence (block table, tokens, rows kept), microseconds.
    pub fork_us_median: f64,
    /// Median time of one deep copy of a grammar's state, microseconds.
    pub grammar_fork_us_median: f64,
    /// Prompt tokens computed after the forks, all rounds together.
    pub prefilled_tokens_at_fork: u64,
    /// Blocks copied by the forks themselves, all rounds together; a shared tail
    /// is copied once a branch by its first write, which is part of the first step.
    pub blocks_copied: u64,
    /// Tail blocks copied by the first writes of one round.
    pub blocks_copied_at_first_write: u64,
    pub prefill_tok_s: f64,
    /// All branches together, median of the rounds.
    pub decode_tok_s: f64,
    /// Median over the rounds of the time of a round's later steps, milliseconds.
    pub steady_step_ms: f64,
    /// Median over the rounds of: first decode step after the fork over the
    /// median of the later ones.
    pub first_step_ratio: f64,
}

/// How often the fork is timed; its median is reported.
const FORKS_TIMED: usize = 101;

/// A grammar of the kind that an agent is held by, for the price of its fork.
const GRAMMAR: &str = "start: \"{\\\"name\\\": \\\"\" /[a-z_]{1,20}/ \"\\\"}\"";

/// Ordinary text, so that rows of logits are ordinary rows.
const TEXT: &str =
    "def add(a, b):\n    return a + b\n\n\nfor i in range(10):\n    print(add(i, 1))\n";

/// What the engine's work here is counted as.
const PURPOSE: Purpose = Purpose::Agent;

/// Prefills a trunk, then in each round forks branches off it and decodes all
/// of them together. A round is run before the measured ones: products over
/// several rows lay their weights out anew when they are first used.
///
/// Errors: `KvPoolFull`, `ContextFull` where a branch cannot decode its tokens.
pub fn fork_bench(
    engine: &mut LocalEngine,
    bench: &ForkBench,
    on_step: &mut dyn FnMut(Progress<'_>),
) -> Result<ForkRow, EngineError> {
    let text = engine.vocabulary().encode(TEXT);
    let prompt: Vec<u32> = text.into_iter().cycle().take(bench.trunk_tokens).collect();
    // The trunk is timed, and shorter ones were computed before it.
    let trunk = engine.new_sequence(PrefixCache::Bypass);
    engine.append(trunk, &prompt, PURPOSE)?;
    let started = Instant::now();
    engine.compute(&[trunk], PURPOSE, on_step)?;
    let prefill_s = started.elapsed().as_secs_f64();

    let mut forks_us: Vec<f64> = (0..FORKS_TIMED)
        .map(|_| {
            let started = Instant::now();
            let branch = engine.fork(trunk, bench.trunk_tokens, PURPOSE);
            let us = started.elapsed().as_secs_f64() * 1e6;
            engine.release(branch);
            us
        })
        .collect();
    run_round(engine, trunk, bench, on_step)?;
    let rounds = (0..bench.rounds)
        .map(|_| run_round(engine, trunk, bench, on_step))
        .collect::<Result<Vec<Round>, _>>()?;
    engine.release(trunk);

    let of_rounds =
        |value: fn(&Round) -> f64| median(&mut rounds.iter().map(value).collect::<Vec<_>>());
    Ok(ForkRow {
        trunk_tokens: bench.trunk_tokens,
        branches: bench.branches,
        rounds: bench.rounds,
        fork_us_median: median(&mut forks_us),
        grammar_fork_us_median: grammar_fork_us(engine)?,
        prefilled_tokens_at_fork: rounds.iter().map(|round| round.prefilled_tokens).sum(),
        blocks_copied: rounds.iter().map(|round| round.blocks_copied_at_fork).sum(),
        blocks_copied_at_first_write: rounds[0].blocks_copied_at_first_write,
        prefill_tok_s: bench.trunk_tokens as f64 / prefill_s,
        decode_tok_s: of_rounds(|round| round.decode_tok_s),
        steady_step_ms: of_rounds(|round| round.steady_step_s * 1e3),
        first_step_ratio: of_rounds(|round| round.first_step_s / round.steady_step_s),
    })
}

/// Branches forked off the trunk and decoded once.
struct Round {
    prefilled_tokens: u64,
    blocks_copied_at_fork: u64,
    blocks_copied_at_first_write: u64,
    decode_tok_s: f64,
    first_step_s: f64,
    /// Median of the steps after the first.
    steady_step_s: f64,
}

fn run_round(
    engine: &mut LocalEngine,
    trunk: SeqId,
    bench: &ForkBench,
    on_step: &mut dyn FnMut(Progress<'_>),
) -> Result<Round, EngineError> {
    let before = engine.usage().total();
    let seqs: Vec<SeqId> = (0..bench.branches)
        .map(|_| engine.fork(trunk, bench.trunk_tokens, PURPOSE))
        .collect();
    let forked = engine.usage().total();
    let jobs: Vec<GenerateJob> = (0..)
        .zip(&seqs)
        .map(|(branch, &seq)| GenerateJob {
            seq,
            sampler: SamplerSettings::at(1.0),
            rng: RngKey::from_seed(0).split(branch),
            tokens_max: bench.tokens,
            grammar: None,
            grammar_prefix: 0,
            stop_tokens: Vec::new(),
            first_token_not: Vec::new(),
            distinct: None,
            purpose: PURPOSE,
        })
        .collect();
    let mut steps_s = Vec::new();
    let started = Instant::now();
    let mut last = started;
    let generated = engine.generate(&jobs, &mut |progress| {
        steps_s.push(last.elapsed().as_secs_f64());
        on_step(progress);
        last = Instant::now();
    });
    let decode_s = started.elapsed().as_secs_f64();
    for seq in seqs {
        engine.release(seq);
    }
    for generated in &generated? {
        match generated.finish {
            Finish::KvPoolFull => return Err(engine.pool_full()),
            Finish::ContextFull => {
                return Err(EngineError::ContextFull {
                    asked: bench.trunk_tokens + bench.tokens,
                    limit: engine.context_max(),
                });
            }
            _ => assert_eq!(generated.tokens.len(), bench.tokens, "nothing else ends it"),
        }
    }
    let after = engine.usage().total();
    // The first token of each branch comes from the trunk's row: no step.
    let n_tokens = bench.branches * (bench.tokens - 1);
    Ok(Round {
        prefilled_tokens: after.computed_tokens - before.computed_tokens,
        blocks_copied_at_fork: forked.blocks_copied - before.blocks_copied,
        blocks_copied_at_first_write: after.blocks_copied - forked.blocks_copied,
        decode_tok_s: n_tokens as f64 / decode_s,
        first_step_s: steps_s[0],
        steady_step_s: median(&mut steps_s[1..]),
    })
}

fn grammar_fork_us(engine: &LocalEngine) -> Result<f64, EngineError> {
    let grammar = engine
        .grammars
        .compile(GRAMMAR)
        .map_err(|error| EngineError::Grammar(error.to_string()))?;
    let mut times: Vec<f64> = (0..FORKS_TIMED)
        .map(|_| {
            let started = Instant::now();
            let branch = grammar.fork();
            let us = started.elapsed().as_secs_f64() * 1e6;
            drop(branch);
            us
        })
        .collect();
    Ok(median(&mut times))
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
