//! What drafts save on recorded texts.
use super::api::{Engine, EngineError, GenerateJob, Generated, PrefixCache, Progress};
use super::local::LocalEngine;
use crate::base::{Purpose, RngKey, SamplerSettings, SeqId, UsageByPurpose};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// A conversation with an agent, as the model saw it: special tokens are written out.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedText {
    pub prompt: String,
    pub turns: Vec<RecordedTurn>,
}

/// One turn of the model.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedTurn {
    /// Written by the model.
    pub said: String,
    /// Shown to it then, up to where it writes again.
    pub seen: String,
}

/// How the turns are decoded.
#[derive(Clone, Copy, Debug)]
pub struct DraftBench {
    /// Continuations of one fork, side by side.
    pub branches: usize,
    /// 0 takes the likeliest token.
    pub temperature: f32,
    /// Tokens of a draft: see [`LocalEngine::draft`].
    pub draft_tokens: Option<usize>,
}

/// The same continuations without drafts and with them.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct DraftRow {
    pub turns: usize,
    pub branches: usize,
    pub decoded_tokens: u64,
    pub plain_s: f64,
    pub drafted_s: f64,
    /// Of one sequence.
    pub tokens_a_step: f64,
    pub rejected_rows: u64,
    /// Time of a step with drafts over that of one without, on average.
    pub step_cost: f64,
}

impl DraftRow {
    /// How many times as fast as without.
    pub fn speed(&self) -> f64 {
        self.plain_s / self.drafted_s
    }

    /// The speed that so many tokens a step allow at that cost of a step.
    pub fn bound(&self) -> f64 {
        self.tokens_a_step / self.step_cost
    }
}

/// What one engine did.
#[derive(Default)]
struct Side {
    time: Duration,
    n_steps: u64,
    n_calls: u64,
}

/// Decodes each turn of the texts with both engines, in turn, as long as it was recorded; then
/// both read what was recorded. `plain` must not draft.
///
/// Panics if a token or an entropy differs: drafts would not be exact.
pub fn draft_bench(
    plain: &mut LocalEngine,
    drafted: &mut LocalEngine,
    texts: &[RecordedText],
    bench: DraftBench,
    on_step: &mut dyn FnMut(Progress<'_>),
) -> Result<DraftRow, EngineError> {
    let before = drafted.usage();
    let mut sides = [Side::default(), Side::default()];
    let mut row = DraftRow {
        branches: bench.branches,
        ..DraftRow::default()
    };
    for text in texts {
        // What was learnt of another run is not of this one.
        drafted.draft(bench.draft_tokens);
        let prompt = plain.vocabulary().encode_special(&text.prompt);
        let mut trunks = [SeqId(0); 2];
        for (trunk, engine) in trunks.iter_mut().zip([&mut *plain, &mut *drafted]) {
            *trunk = engine.new_sequence(PrefixCache::Bypass);
            engine.append(*trunk, &prompt, PURPOSE)?;
            engine.compute(&[*trunk], PURPOSE, on_step)?;
        }
        for (nth, turn) in text.turns.iter().enumerate() {
            let [said, seen] =
                [&turn.said, &turn.seen].map(|text| plain.vocabulary().encode_special(text));
            if said.is_empty() {
                continue;
            }
            row.turns += 1;
            let mut found = Vec::new();
            let engines = [&mut *plain, &mut *drafted].into_iter().zip(trunks);
            for (side, (engine, trunk)) in sides.iter_mut().zip(engines) {
                let made = decode(engine, trunk, said.len(), nth as u64, bench, side, on_step)?;
                found.push(made);
                engine.append(trunk, &[&said[..], &seen].concat(), PURPOSE)?;
                engine.compute(&[trunk], PURPOSE, on_step)?;
            }
            assert!(
                same(&found[0], &found[1]),
                "drafts changed what was decoded"
            );
        }
        for (engine, trunk) in [&mut *plain, &mut *drafted].into_iter().zip(trunks) {
            engine.release(trunk);
        }
    }
    let spent: UsageByPurpose = drafted.usage().since(&before);
    let [without, with] = &sides;
    let total = spent.total();
    row.decoded_tokens = total.decoded_tokens;
    row.rejected_rows = total.rejected_rows;
    (row.plain_s, row.drafted_s) = (without.time.as_secs_f64(), with.time.as_secs_f64());
    row.tokens_a_step = without.n_steps as f64 / with.n_steps as f64;
    let a_call = |side: &Side| side.time.as_secs_f64() / side.n_calls as f64;
    row.step_cost = a_call(with) / a_call(without);
    Ok(row)
}

const PURPOSE: Purpose = Purpose::Agent;

/// One turn by one engine, off a fork of the text so far.
fn decode(
    engine: &mut LocalEngine,
    trunk: SeqId,
    tokens_max: usize,
    seed: u64,
    bench: DraftBench,
    side: &mut Side,
    on_step: &mut dyn FnMut(Progress<'_>),
) -> Result<Vec<Generated>, EngineError> {
    let len = engine.tokens(trunk).len();
    let jobs: Vec<GenerateJob> = (0..bench.branches as u64)
        .map(|branch| GenerateJob {
            seq: engine.fork(trunk, len, PURPOSE),
            sampler: SamplerSettings::at(bench.temperature),
            rng: RngKey::from_seed(seed).split(branch),
            tokens_max,
            grammar: None,
            grammar_prefix: 0,
            stop_tokens: Vec::new(),
            first_token_not: Vec::new(),
            distinct: None,
            purpose: PURPOSE,
        })
        .collect();
    let mut n_calls = 0;
    let started = Instant::now();
    let found = engine.generate(&jobs, &mut |progress| {
        n_calls += 1;
        on_step(progress);
    })?;
    side.time += started.elapsed();
    side.n_calls += n_calls;
    side.n_steps += found.iter().map(|made| made.n_steps).sum::<u64>();
    for job in jobs {
        engine.release(job.seq);
    }
    Ok(found)
}

/// To the last bit.
fn same(a: &[Generated], b: &[Generated]) -> bool {
    let figures = |all: &[Generated]| -> Vec<(u32, u32)> {
        let tokens = all.iter().flat_map(|made| &made.tokens);
        tokens
            .map(|token| (token.token, token.entropy_nats.to_bits()))
            .collect()
    };
    figures(a) == figures(b)
}
