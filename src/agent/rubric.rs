//! Scores read from the logits: a question behind a context, on a forked cache.
use super::dialect::{Dialect, encode};
use crate::base::{Purpose, SeqId};
use crate::engine::{Engine, EngineError, ScoreJob};

/// Probabilities of the digits 0 to 3, renormalised over the four.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Digits(pub [f32; 4]);

impl Digits {
    /// From raw log-probabilities.
    fn of(logprobs: [f32; 4]) -> Self {
        let p = logprobs.map(f32::exp);
        let sum: f32 = p.iter().sum();
        Self(p.map(|p| p / sum.max(f32::MIN_POSITIVE)))
    }

    /// The expectation, in `0..=3`.
    pub fn expectation(self) -> f32 {
        self.0.iter().enumerate().map(|(d, p)| d as f32 * p).sum()
    }

    /// The likeliest digit, the lower of equals.
    pub fn likeliest(self) -> u8 {
        let p = self.0;
        (1..4).fold(0, |best, d| if p[d] > p[best] { d } else { best }) as u8
    }

    /// A digit drawn at a temperature above 0; `uniform` in `[0, 1)`.
    pub fn draw(self, temperature: f32, uniform: f64) -> u8 {
        let weights = self
            .0
            .map(|p| f64::from(p).powf(1.0 / f64::from(temperature)));
        let mut left = uniform * weights.iter().sum::<f64>();
        for (digit, weight) in weights.iter().enumerate() {
            left -= weight;
            if left < 0.0 {
                return digit as u8;
            }
        }
        self.likeliest()
    }
}

/// Asks `question` behind each sequence and reads how probability spreads over
/// the digits 0 to 3, for each sequence and dimension. The sequences are left
/// as they were, and none sees another.
///
/// Cost: one batch, of the question's tokens a sequence and a few tokens an answer.
/// Errors: `ContextFull`, `KvPoolFull`, `Model`.
pub fn digits(
    engine: &mut dyn Engine,
    dialect: &dyn Dialect,
    seqs: &[SeqId],
    question: &str,
    dimensions: &[&str],
    purpose: Purpose,
) -> Result<Vec<Vec<Digits>>, EngineError> {
    let answers: Vec<Vec<u32>> = dimensions
        .iter()
        .flat_map(|name| (0..=3).map(move |digit| format!("{name}: {digit}")))
        .map(|text| engine.vocabulary().encode(&text))
        .collect();
    let asked = ask(engine, dialect, seqs, question, purpose)?;
    let jobs: Vec<ScoreJob> = asked
        .iter()
        .map(|&seq| ScoreJob {
            seq,
            continuations: answers.clone(),
            purpose,
        })
        .collect();
    let scores = engine.score(&jobs);
    asked.iter().for_each(|&seq| engine.release(seq));
    Ok(scores?.iter().map(|logprobs| read(logprobs)).collect())
}

/// A new sequence for each, with the question behind it. They are the caller's.
pub fn ask(
    engine: &mut dyn Engine,
    dialect: &dyn Dialect,
    seqs: &[SeqId],
    question: &str,
    purpose: Purpose,
) -> Result<Vec<SeqId>, EngineError> {
    let question = encode(engine.vocabulary(), &dialect.question(question));
    let mut asked = Vec::with_capacity(seqs.len());
    let mut result = Ok(());
    for &seq in seqs {
        let own = engine.fork(seq, engine.tokens(seq).len(), purpose);
        result = result.and(engine.append(own, &question, purpose));
        asked.push(own);
    }
    if result.is_err() {
        asked.iter().for_each(|&seq| engine.release(seq));
    }
    result.map(|()| asked)
}

/// `logprobs`: of each answer's tokens; the digit is the last.
fn read(logprobs: &[Vec<f32>]) -> Vec<Digits> {
    let last = |tokens: &Vec<f32>| *tokens.last().expect("an answer has tokens");
    let four = |answers: &[Vec<f32>]| std::array::from_fn(|digit| last(&answers[digit]));
    logprobs.chunks(4).map(|c| Digits::of(four(c))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits() -> Digits {
        let logprobs = [0.1f32, 0.1, 0.0, 0.2].map(|p| vec![-9.0, p.ln()]);
        read(&logprobs)[0]
    }

    #[test]
    fn the_expectation_is_over_the_four() {
        let expected = (0.1 + 0.6) / 0.4;
        assert!((digits().expectation() - expected).abs() < 1e-6);
        assert_eq!(digits().likeliest(), 3);
    }

    #[test]
    fn a_drawn_digit_follows_the_tempered_distribution() {
        let counts = |temperature| {
            let mut counts = [0; 4];
            for i in 0..1_000 {
                counts[digits().draw(temperature, f64::from(i) / 1_000.0) as usize] += 1;
            }
            counts
        };
        assert_eq!(counts(1.0), [250, 250, 0, 500]);
        // At T = 0.5 weights are squared: 1, 1, 0, 4 of 6.
        assert!((counts(0.5)[3] - 667_i32).abs() <= 1);
    }
}
