//! Time that drafts save on recorded texts.
use super::api::{Engine, EngineError, GenerateJob, Generated, PrefixCache, Progress};
use super::drafts::Drafts;
use super::local::LocalEngine;
use crate::base::{Purpose, RngKey, SamplerSettings, SeqId};
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

/// Time and steps of one way of decoding.
#[derive(Default)]
struct Side {
    time: Duration,
    n_steps: u64,
    n_calls: u64,
}

/// Decodes each turn of the texts, as long as it was recorded, without drafts and with them;
/// then the recorded turn is read. One row for each of `benches`.
///
/// Panics if a token or an entropy differs: drafts would not be exact.
pub fn draft_bench(
    engine: &mut LocalEngine,
    texts: &[RecordedText],
    benches: &[DraftBench],
    on_step: &mut dyn FnMut(Progress<'_>),
) -> Result<Vec<DraftRow>, EngineError> {
    let mut measured: Vec<Measured> = Vec::new();
    measured.resize_with(benches.len(), Measured::default);
    for text in texts {
        // Each run learns anew: texts of another are not of this one.
        for (measured, bench) in measured.iter_mut().zip(benches) {
            measured.drafts = Some(Drafts::new(bench.draft_tokens));
        }
        let prompt = engine.vocabulary().encode_special(&text.prompt);
        let trunk = engine.new_sequence(PrefixCache::Bypass);
        engine.append(trunk, &prompt, PURPOSE)?;
        engine.compute(&[trunk], PURPOSE, on_step)?;
        for (nth, turn) in text.turns.iter().enumerate() {
            let [said, seen] =
                [&turn.said, &turn.seen].map(|text| engine.vocabulary().encode_special(text));
            if said.is_empty() {
                continue;
            }
            for (measured, bench) in measured.iter_mut().zip(benches) {
                let asked = (trunk, said.len(), nth as u64, *bench);
                let without = decode(engine, asked, &mut measured.plain, on_step)?;
                engine.drafts = measured.drafts.take();
                let rejected = engine.usage().total().rejected_rows;
                let with = decode(engine, asked, &mut measured.drafted, on_step)?;
                measured.drafts = engine.drafts.take();
                assert!(same(&without, &with), "drafts changed what was decoded");
                measured.n_turns += 1;
                measured.n_tokens += with
                    .iter()
                    .map(|made| made.tokens.len() as u64)
                    .sum::<u64>();
                measured.rejected_rows += engine.usage().total().rejected_rows - rejected;
            }
            engine.append(trunk, &[said, seen].concat(), PURPOSE)?;
            engine.compute(&[trunk], PURPOSE, on_step)?;
        }
        engine.release(trunk);
    }
    let rows = measured.iter().zip(benches);
    Ok(rows.map(|(measured, bench)| measured.row(bench)).collect())
}

/// Measurements for a row so far.
#[derive(Default)]
struct Measured {
    drafts: Option<Drafts>,
    plain: Side,
    drafted: Side,
    n_turns: usize,
    n_tokens: u64,
    rejected_rows: u64,
}

impl Measured {
    fn row(&self, bench: &DraftBench) -> DraftRow {
        let a_call = |side: &Side| side.time.as_secs_f64() / side.n_calls as f64;
        DraftRow {
            turns: self.n_turns,
            branches: bench.branches,
            decoded_tokens: self.n_tokens,
            plain_s: self.plain.time.as_secs_f64(),
            drafted_s: self.drafted.time.as_secs_f64(),
            tokens_a_step: self.plain.n_steps as f64 / self.drafted.n_steps as f64,
            rejected_rows: self.rejected_rows,
            step_cost: a_call(&self.drafted) / a_call(&self.plain),
        }
    }
}

const PURPOSE: Purpose = Purpose::Agent;

/// One turn off a fork of the text so far.
fn decode(
    engine: &mut LocalEngine,
    (trunk, tokens_max, seed, bench): (SeqId, usize, u64, DraftBench),
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
