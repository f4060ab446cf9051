//! The judge (section 2.1): a question behind a candidate's context, answered
//! on five dimensions by expected digits.
use crate::agent::{Dialect, ask, digits};
use crate::base::{JudgeMethod, JudgeSettings, Purpose, RngKey, SamplerSettings, SeqId};
use crate::engine::{Engine, EngineError, GenerateJob};
use crate::record::JudgeScore;

/// Of an action that was not carried out yet.
pub const JUDGE_CALL: &str = include_str!("prompts/judge.md");
/// Of an action and its result.
pub const JUDGE_RESULT: &str = include_str!("prompts/judge_result.md");
/// Of all that a branch did.
pub const JUDGE_TRAJECTORY: &str = include_str!("prompts/judge_trajectory.md");
/// Behind a question whose reasons are wanted first, and behind these.
const WHY: &str = "Do not rate yet. First say in one sentence what is right and what is wrong.";
const RATE: &str = "Now rate it on the five dimensions, each with one digit from 0 to 3.";

/// Tokens of a judge's reasons at most: two sentences.
const RATIONALE_TOKENS_MAX: usize = 96;
/// One line, so that it ends.
const RATIONALE_GRAMMAR: &str = "start: /[^\\n<]{1,400}\\n/\n";

/// The five dimensions, as the question names them.
pub const DIMENSIONS: [&str; 5] = [
    "step consistency",
    "context awareness",
    "goal prioritisation",
    "expected tool use",
    "diagnostic precision",
];

/// Scores what each sequence ends with; the sequences are left as they were.
/// All sequences and dimensions are in one batch, and none sees another, so
/// their order does not matter.
///
/// Cost on a fork: the question's tokens once a sequence, and a few tokens a
/// dimension; with a rationale also what is written.
/// Errors: `ContextFull`, `KvPoolFull`, `Model`.
pub fn judge(
    engine: &mut dyn Engine,
    dialect: &dyn Dialect,
    settings: &JudgeSettings,
    question: &str,
    seqs: &[SeqId],
) -> Result<Vec<JudgeScore>, EngineError> {
    let purpose = Purpose::Judge;
    if settings.method != JudgeMethod::Rationale {
        let read = digits(engine, dialect, seqs, question, &DIMENSIONS, purpose)?;
        return Ok(read.iter().map(|digits| score(digits, None)).collect());
    }
    let question = format!("{}\n{WHY}", question.trim_end());
    let asked = ask(engine, dialect, seqs, &question, purpose)?;
    let rated = reasons(engine, &asked).and_then(|reasons| {
        let read = digits(engine, dialect, &asked, RATE, &DIMENSIONS, purpose)?;
        Ok(read.into_iter().zip(reasons))
    });
    asked.iter().for_each(|&seq| engine.release(seq));
    Ok(rated?
        .map(|(digits, reason)| score(&digits, Some(reason)))
        .collect())
}

/// What the judge writes behind each sequence, greedily.
fn reasons(engine: &mut dyn Engine, asked: &[SeqId]) -> Result<Vec<String>, EngineError> {
    let jobs: Vec<GenerateJob> = asked
        .iter()
        .map(|&seq| GenerateJob {
            seq,
            sampler: SamplerSettings::GREEDY,
            rng: RngKey::from_seed(0),
            tokens_max: RATIONALE_TOKENS_MAX,
            grammar: Some(RATIONALE_GRAMMAR.to_owned()),
            grammar_prefix: 0,
            stop_tokens: Vec::new(),
            first_token_not: Vec::new(),
            distinct: None,
            purpose: Purpose::Judge,
        })
        .collect();
    let written = engine.generate(&jobs, &mut |_| {})?;
    let text = |generated: crate::engine::Generated| {
        let ids: Vec<u32> = generated.tokens.iter().map(|token| token.token).collect();
        engine.vocabulary().decode(&ids).trim().to_owned()
    };
    Ok(written.into_iter().map(text).collect())
}

fn score(digits: &[crate::agent::Digits], rationale: Option<String>) -> JudgeScore {
    let expected = digits.iter().map(|digits| digits.expectation());
    let dimensions: Vec<(String, f32)> = DIMENSIONS
        .iter()
        .map(|name| (*name).to_owned())
        .zip(expected)
        .collect();
    let sum: f32 = dimensions.iter().map(|(_, digit)| digit).sum();
    JudgeScore {
        score: sum / (3.0 * DIMENSIONS.len() as f32),
        dimensions,
        rationale,
    }
}
