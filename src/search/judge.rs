//! The judge by fork (section 2.1): the question goes behind the candidate's
//! own context on a forked cache; scores are read from the logits.
use crate::agent::{Dialect, expected_digits};
use crate::base::{Purpose, SeqId};
use crate::engine::{Engine, EngineError};
use crate::record::JudgeScore;

const QUESTION: &str = include_str!("prompts/judge.md");

/// The five dimensions, as the question names them.
pub const DIMENSIONS: [&str; 5] = [
    "step consistency",
    "context awareness",
    "goal prioritisation",
    "expected tool use",
    "diagnostic precision",
];

/// Scores candidates; each sequence ends with its candidate's action and is
/// left as it was. All candidates and dimensions are in one batch.
///
/// Cost: the question's tokens once a candidate, and a few tokens a dimension.
pub fn judge(
    engine: &mut dyn Engine,
    dialect: &dyn Dialect,
    candidates: &[SeqId],
) -> Result<Vec<JudgeScore>, EngineError> {
    let expected = expected_digits(
        engine,
        dialect,
        candidates,
        QUESTION,
        &DIMENSIONS,
        Purpose::Judge,
    )?;
    Ok(expected
        .into_iter()
        .map(|dimensions| {
            let sum: f32 = dimensions.iter().map(|(_, digit)| digit).sum();
            JudgeScore {
                score: sum / (3.0 * DIMENSIONS.len() as f32),
                dimensions,
            }
        })
        .collect())
}
