//! Scores read from the logits: a question behind a context, on a forked cache.
use super::dialect::{Dialect, encode};
use crate::base::{Purpose, SeqId};
use crate::engine::{Engine, EngineError, ScoreJob};

/// Asks `question` behind each sequence and reads, for each dimension, the
/// expectation over the digits 0 to 3 (renormalised over the four).
pub fn expected_digits(
    engine: &mut dyn Engine,
    dialect: &dyn Dialect,
    seqs: &[SeqId],
    question: &str,
    dimensions: &[&str],
    purpose: Purpose,
) -> Result<Vec<Vec<(String, f32)>>, EngineError> {
    let asked = encode(engine.vocabulary(), &dialect.question(question));
    let answers: Vec<Vec<u32>> = dimensions
        .iter()
        .flat_map(|name| (0..=3).map(move |digit| format!("{name}: {digit}")))
        .map(|text| engine.vocabulary().encode(&text))
        .collect();
    let mut jobs: Vec<ScoreJob> = Vec::with_capacity(seqs.len());
    let mut result = Ok(());
    for &seq in seqs {
        let len = engine.tokens(seq).len();
        let branch = engine.fork(seq, len, purpose);
        jobs.push(ScoreJob {
            seq: branch,
            continuations: answers.clone(),
            purpose,
        });
        result = result.and(engine.append(branch, &asked, purpose));
    }
    let scores = result.and_then(|()| engine.score(&jobs));
    for job in &jobs {
        engine.release(job.seq);
    }
    Ok(scores?
        .into_iter()
        .map(|logprobs| read_digits(dimensions, &logprobs))
        .collect())
}

/// `logprobs`: of each answer's tokens; the digit is the last.
fn read_digits(dimensions: &[&str], logprobs: &[Vec<f32>]) -> Vec<(String, f32)> {
    let read = |(name, digits): (&&str, &[Vec<f32>])| {
        let p: Vec<f32> = digits
            .iter()
            .map(|tokens| tokens.last().expect("an answer has tokens").exp())
            .collect();
        let sum: f32 = p.iter().sum();
        let expected = p
            .iter()
            .enumerate()
            .map(|(digit, p)| digit as f32 * p)
            .sum::<f32>()
            / sum.max(f32::MIN_POSITIVE);
        (name.to_string(), expected)
    };
    dimensions
        .iter()
        .zip(logprobs.chunks(4))
        .map(read)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digit_is_the_expectation_over_the_four() {
        let logprobs: Vec<Vec<f32>> = [0.1f32, 0.1, 0.0, 0.2]
            .iter()
            .map(|p| vec![-9.0, p.ln()])
            .collect();
        let read = read_digits(&["x"], &logprobs);
        assert_eq!(read[0].0, "x");
        assert!(
            (read[0].1 - (0.1 + 0.6) / 0.4).abs() < 1e-6,
            "{}",
            read[0].1
        );
    }
}
