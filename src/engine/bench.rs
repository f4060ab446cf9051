//! What a fork costs, measured on a running engine.
use super::api::{Engine, EngineError, GenerateJob, Progress};
use super::local::LocalEngine;
use crate::base::{Purpose, RngKey, SamplerSettings};
use serde::Serialize;
use std::time::Instant;

/// One measurement: branches off one trunk.
pub struct ForkBench {
    pub trunk_tokens: usize,
    pub branches: usize,
    /// Tokens that each branch decodes.
    pub tokens: usize,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct ForkRow {
    pub trunk_tokens: usize,
    pub branches: usize,
    /// Median time of one fork of the sequence (block table, tokens, rows kept), microseconds.
    pub fork_us_median: f64,
    /// Median time of one deep copy of a grammar's state, microseconds.
    pub grammar_fork_us_median: f64,
    /// Prompt tokens computed between the fork and the first decode step.
    pub prefilled_tokens_at_fork: u64,
    /// Blocks copied by the forks themselves; a shared tail is copied once a
    /// branch by its first write, which is part of the first step.
    pub blocks_copied: u64,
    /// Tail blocks copied by the first writes.
    pub blocks_copied_at_first_write: u64,
    pub prefill_tok_s: f64,
    /// All branches together.
    pub decode_tok_s: f64,
    /// First decode step after the fork over the median of the later ones.
    pub first_step_ratio: f64,
}

/// How often the fork is timed; its median is reported.
const FORKS_TIMED: usize = 101;

/// A grammar of the kind that an agent is held by, for the price of its fork.
const GRAMMAR: &str = "start: \"{\\\"name\\\": \\\"\" /[a-z_]{1,20}/ \"\\\"}\"";

/// Prefills a trunk, forks branches off it, decodes all of them together.
pub fn fork_bench(
    engine: &mut LocalEngine,
    bench: &ForkBench,
    on_step: &mut dyn FnMut(Progress<'_>),
) -> Result<ForkRow, EngineError> {
    let purpose = Purpose::Agent;
    // Ordinary text, so that rows are ordinary rows; repeated to the length.
    let text = engine.vocabulary().encode(
        "def add(a, b):\n    return a + b\n\n\nfor i in range(10):\n    print(add(i, 1))\n",
    );
    let prompt: Vec<u32> = text
        .iter()
        .copied()
        .cycle()
        .take(bench.trunk_tokens)
        .collect();
    let trunk = engine.new_sequence();
    engine.append(trunk, &prompt, purpose)?;
    let started = Instant::now();
    engine.compute(&[trunk], purpose, on_step)?;
    let prefill_s = started.elapsed().as_secs_f64();

    let before = engine.usage().total();
    let mut forks_us = Vec::new();
    for _ in 0..FORKS_TIMED {
        let started = Instant::now();
        let branch = engine.fork(trunk, bench.trunk_tokens, purpose);
        forks_us.push(started.elapsed().as_secs_f64() * 1e6);
        engine.release(branch);
    }
    let seqs: Vec<_> = (0..bench.branches)
        .map(|_| engine.fork(trunk, bench.trunk_tokens, purpose))
        .collect();
    let forked = engine.usage().total();

    let jobs: Vec<GenerateJob> = seqs
        .iter()
        .enumerate()
        .map(|(branch, &seq)| GenerateJob {
            seq,
            sampler: SamplerSettings::at(1.0),
            rng: RngKey::from_seed(0).split(branch as u64),
            tokens_max: bench.tokens,
            grammar: None,
            stop_tokens: Vec::new(),
            first_token_not: Vec::new(),
            purpose,
        })
        .collect();
    let mut steps_s = Vec::new();
    let mut last = Instant::now();
    let started = Instant::now();
    let generated = engine.generate(&jobs, &mut |progress| {
        steps_s.push(last.elapsed().as_secs_f64());
        last = Instant::now();
        on_step(progress);
    })?;
    let decode_s = started.elapsed().as_secs_f64();
    let after = engine.usage().total();
    // The first token of each branch comes from the trunk's row: no step.
    let n_steps_tokens: usize = generated.iter().map(|g| g.tokens.len() - 1).sum();
    for seq in seqs {
        engine.release(seq);
    }
    engine.release(trunk);

    Ok(ForkRow {
        trunk_tokens: bench.trunk_tokens,
        branches: bench.branches,
        fork_us_median: median(&mut forks_us),
        grammar_fork_us_median: grammar_fork_us(engine)?,
        prefilled_tokens_at_fork: after.computed_tokens - before.computed_tokens,
        blocks_copied: forked.blocks_copied - before.blocks_copied,
        blocks_copied_at_first_write: after.blocks_copied - forked.blocks_copied,
        prefill_tok_s: bench.trunk_tokens as f64 / prefill_s,
        decode_tok_s: n_steps_tokens as f64 / decode_s,
        first_step_ratio: steps_s[0] / median(&mut steps_s[1..]),
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
