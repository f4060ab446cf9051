//! What branches and forks cost, measured on a running engine.
use super::api::{Engine, EngineError, Finish, GenerateJob, PrefixCache, Progress};
use super::local::LocalEngine;
use crate::base::{Purpose, RngKey, SamplerSettings, SeqId};
use serde::Serialize;
use std::time::Instant;

/// A prefilled prompt that branches are forked off.
pub struct Trunk {
    /// One that all branches leave, or one for each.
    seqs: Vec<SeqId>,
    tokens: usize,
    prefill_tok_s: f64,
}

/// One measurement: branches off a trunk.
pub struct BranchBench {
    pub branches: usize,
    /// Tokens that each branch decodes in a round; at least 4.
    pub tokens: usize,
    /// Rounds measured, each from new forks; one more runs before them.
    pub rounds: usize,
    /// True where a grammar that allows nearly any text masks each row.
    pub masked: bool,
    /// Bytes a second that the machine reads from memory.
    pub bandwidth: f64,
    /// The most memory that the process had held before it was last forgotten.
    pub peak_rss_before: u64,
}

/// What was measured.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BranchRow {
    pub trunk_tokens: usize,
    pub branches: usize,
    /// True where each branch has a trunk of its own and shares nothing.
    pub own_caches: bool,
    /// True where a grammar masked each row.
    pub masked: bool,
    pub rounds: usize,
    pub prefill_tok_s: f64,
    /// All branches together, median of the rounds.
    pub decode_tok_s: f64,
    /// Median over the rounds of the time of a round's later steps, milliseconds.
    pub steady_step_ms: f64,
    /// Median over the rounds of: first decode step after the fork over the
    /// median of the later ones.
    pub first_step_ratio: f64,
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
    /// Mean time of a step until its work was handed to the device, milliseconds: on a
    /// GPU what the launches take, on a CPU the forward pass.
    pub forward_ms: f64,
    /// Share of the decoding time that went into entropy and sampling.
    pub entropy_share: f64,
    /// Bytes that a steady step has to read at least, each weight once, each shared
    /// position once, over what the machine reads in that time.
    pub bandwidth_fraction: f64,
    /// The most memory that the process has held so far; 0 where the system does
    /// not say.
    pub peak_rss_bytes: u64,
}

/// How often the fork is timed; its median is reported.
const FORKS_TIMED: usize = 101;

/// A grammar of the kind that an agent is held by, for the price of its fork.
const GRAMMAR: &str = "start: \"{\\\"name\\\": \\\"\" /[a-z_]{1,20}/ \"\\\"}\"";

/// Any text: it ends only behind a character that no text has, so that a bench goes on.
const ANY_TEXT: &str = "start: /(.|\\n)*\\x01/";

/// Ordinary text, so that rows of logits are ordinary rows.
const TEXT: &str =
    "def add(a, b):\n    return a + b\n\n\nfor i in range(10):\n    print(add(i, 1))\n";

/// What the engine's work here is counted as.
const PURPOSE: Purpose = Purpose::Agent;

/// Prefills a trunk of ordinary text, `copies` times where branches are not to share it.
pub fn prefill_trunk(
    engine: &mut LocalEngine,
    tokens: usize,
    copies: usize,
    on_step: &mut dyn FnMut(Progress<'_>),
) -> Result<Trunk, EngineError> {
    let text = engine.vocabulary().encode(TEXT);
    let prompt: Vec<u32> = text.into_iter().cycle().take(tokens).collect();
    // The trunk is timed, and shorter ones were computed before it.
    let mut seqs = Vec::new();
    let started = Instant::now();
    for _ in 0..copies {
        let seq = engine.new_sequence(PrefixCache::Bypass);
        engine.append(seq, &prompt, PURPOSE)?;
        engine.compute(&[seq], PURPOSE, on_step)?;
        seqs.push(seq);
    }
    let prefill_tok_s = (copies * tokens) as f64 / started.elapsed().as_secs_f64();
    Ok(Trunk {
        seqs,
        tokens,
        prefill_tok_s,
    })
}

/// Forgets a trunk.
pub fn release_trunk(engine: &mut LocalEngine, trunk: Trunk) {
    for seq in trunk.seqs {
        engine.release(seq);
    }
}

/// In each round, forks branches off the trunk and decodes all of them together. A
/// round is run before the measured ones, so that none of them is the first to
/// touch its memory.
///
/// Errors: `KvPoolFull`, `ContextFull` where a branch cannot decode its tokens.
pub fn branch_bench(
    engine: &mut LocalEngine,
    trunk: &Trunk,
    bench: &BranchBench,
    on_step: &mut dyn FnMut(Progress<'_>),
) -> Result<BranchRow, EngineError> {
    let mut forks_us: Vec<f64> = (0..FORKS_TIMED)
        .map(|_| {
            let started = Instant::now();
            let branch = engine.fork(trunk.seqs[0], trunk.tokens, PURPOSE);
            let us = started.elapsed().as_secs_f64() * 1e6;
            engine.release(branch);
            us
        })
        .collect();
    run_round(engine, trunk, bench, on_step)?;
    let rounds = (0..bench.rounds)
        .map(|_| run_round(engine, trunk, bench, on_step))
        .collect::<Result<Vec<Round>, _>>()?;
    // A device's work ends when it is waited for: for the share of sampling a round is
    // run that waits before it, too.
    engine.wait_before_sampling(true);
    let waited = run_round(engine, trunk, bench, on_step);
    engine.wait_before_sampling(false);
    let entropy_share = waited?.entropy_share;

    let of_rounds =
        |value: fn(&Round) -> f64| median(&mut rounds.iter().map(value).collect::<Vec<_>>());
    let steady_step_s = of_rounds(|round| round.steady_step_s);
    // The branches' own positions, halfway through a round.
    let trunks = trunk.seqs.len().min(bench.branches);
    let kv_tokens = trunks * trunk.tokens + bench.branches * bench.tokens / 2;
    Ok(BranchRow {
        trunk_tokens: trunk.tokens,
        branches: bench.branches,
        own_caches: trunk.seqs.len() > 1,
        masked: bench.masked,
        rounds: bench.rounds,
        prefill_tok_s: trunk.prefill_tok_s,
        decode_tok_s: of_rounds(|round| round.decode_tok_s),
        steady_step_ms: steady_step_s * 1e3,
        first_step_ratio: of_rounds(|round| round.first_step_s / round.steady_step_s),
        fork_us_median: median(&mut forks_us),
        grammar_fork_us_median: grammar_fork_us(engine)?,
        prefilled_tokens_at_fork: rounds.iter().map(|round| round.prefilled_tokens).sum(),
        blocks_copied: rounds.iter().map(|round| round.blocks_copied_at_fork).sum(),
        blocks_copied_at_first_write: rounds[0].blocks_copied_at_first_write,
        forward_ms: of_rounds(|round| round.forward_s) * 1e3,
        entropy_share,
        bandwidth_fraction: engine.step_bytes(kv_tokens) as f64 / steady_step_s / bench.bandwidth,
        peak_rss_bytes: peak_rss_bytes().max(bench.peak_rss_before),
    })
}

/// The most memory that the process has held; 0 where the system does not say.
/// `VmHWM` of Linux's /proc/self/status.
pub fn peak_rss_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// From here on [`peak_rss_bytes`] is of what comes, where Linux can do that.
pub fn forget_peak_rss() {
    // A system that refuses leaves a figure that is too large, never too small.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// Branches forked off the trunk and decoded once.
struct Round {
    prefilled_tokens: u64,
    blocks_copied_at_fork: u64,
    blocks_copied_at_first_write: u64,
    decode_tok_s: f64,
    forward_s: f64,
    entropy_share: f64,
    first_step_s: f64,
    /// Median of the steps after the first.
    steady_step_s: f64,
}

fn run_round(
    engine: &mut LocalEngine,
    trunk: &Trunk,
    bench: &BranchBench,
    on_step: &mut dyn FnMut(Progress<'_>),
) -> Result<Round, EngineError> {
    let before = engine.usage().total();
    let seqs: Vec<SeqId> = (0..bench.branches)
        .map(|branch| {
            let of = trunk.seqs[branch % trunk.seqs.len()];
            engine.fork(of, trunk.tokens, PURPOSE)
        })
        .collect();
    let forked = engine.usage().total();
    let jobs: Vec<GenerateJob> = (0..)
        .zip(&seqs)
        .map(|(branch, &seq)| GenerateJob {
            seq,
            sampler: SamplerSettings::at(1.0),
            rng: RngKey::from_seed(0).split(branch),
            tokens_max: bench.tokens,
            grammar: bench.masked.then(|| ANY_TEXT.to_owned()),
            grammar_prefix: 0,
            stop_tokens: Vec::new(),
            first_token_not: Vec::new(),
            distinct: None,
            purpose: PURPOSE,
        })
        .collect();
    let mut steps_s = Vec::new();
    let (sampling, forwarding) = (engine.sampling_time(), engine.forwarding_time());
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
                    asked: trunk.tokens + bench.tokens,
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
        forward_s: (engine.forwarding_time() - forwarding).as_secs_f64() / steps_s.len() as f64,
        entropy_share: (engine.sampling_time() - sampling).as_secs_f64() / decode_s,
        first_step_s: steps_s[0],
        steady_step_s: median(&mut steps_s[1..]),
    })
}

fn grammar_fork_us(engine: &LocalEngine) -> Result<f64, EngineError> {
    let grammar = engine.grammars.compile(GRAMMAR)?;
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
