//! The judge (section 2.1): a question behind a candidate's context, answered
//! on five dimensions by expected digits.
//!
//! The question goes behind each candidate on a fork of its own, so that it costs the question's
//! tokens only. A score is the expectation over the digits 0 to 3, read from the logits.
use super::{Decoder, SearchError};
use crate::agent::{Dialect, ask, digits, encode_observation};
use crate::base::{JudgeMethod, JudgeSettings, JudgeWhen, Purpose, RngKey, SamplerSettings, SeqId};
use crate::engine::{Engine, EngineError, GenerateJob};
use crate::record::JudgeScore;
use crate::search::draft::Draft;
use crate::search::round::Proposal;

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

/// The reasons that the judge writes behind each sequence, greedily.
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

impl Decoder<'_> {
    /// Scores the candidates of a step, those left out that change nothing: before any is
    /// carried out, or with what came of each in a copy. Where there is no room for the
    /// question, none gets a score.
    pub fn judge_step(&mut self, proposal: &mut Proposal) -> Result<(), SearchError> {
        proposal.is_judged = true;
        let drafts = proposal.drafts.iter_mut();
        let mut drafts: Vec<&mut Draft> = drafts.filter(|draft| !draft.is_copy).collect();
        let seqs: Vec<SeqId> = drafts.iter().map(|draft| draft.seq).collect();
        let scores = match self.strategy.judge.when {
            JudgeWhen::Before => self.ask_judge(JUDGE_CALL, &seqs),
            JudgeWhen::After => {
                let mut shown = Vec::with_capacity(drafts.len());
                let scores = self
                    .show_results(&drafts, &mut shown)
                    .and_then(|()| self.ask_judge(JUDGE_RESULT, &shown));
                shown.iter().for_each(|&seq| self.engine.release(seq));
                scores
            }
        };
        let scores = match scores {
            // The pool is as empty as it gets.
            Err(error) if error.is_pool_full() && self.made_room => return Ok(()),
            Err(error) if error.is_context_full() => return Ok(()),
            scores => scores?,
        };
        for (draft, score) in drafts.iter_mut().zip(scores) {
            draft.candidate.judge = Some(score);
        }
        Ok(())
    }

    /// Scores by the strategy's judge, of what each sequence ends with.
    pub fn ask_judge(
        &mut self,
        question: &str,
        seqs: &[SeqId],
    ) -> Result<Vec<JudgeScore>, SearchError> {
        let settings = &self.strategy.judge;
        let Some(name) = &settings.model else {
            return Ok(judge(self.engine, self.dialect, settings, question, seqs)?);
        };
        let texts: Vec<String> = seqs.iter().map(|&seq| self.text_of(seq)).collect();
        let other = self.others.named(name)?;
        let mut scores = Vec::with_capacity(texts.len());
        // One at a time: the contexts share what the prefix cache has of them.
        for text in texts {
            let seqs = other.read(&[text], Purpose::Judge)?;
            let score = judge(other.engine, other.dialect, settings, question, &seqs);
            seqs.iter().for_each(|&seq| other.engine.release(seq));
            scores.extend(score.map_err(|error| other.no_room(error))?);
        }
        Ok(scores)
    }

    /// Makes a fork of each candidate's sequence with what came of it.
    fn show_results(
        &mut self,
        drafts: &[&mut Draft],
        shown: &mut Vec<SeqId>,
    ) -> Result<(), SearchError> {
        for draft in drafts {
            let tried = draft.candidate.tried.as_ref().expect("it was tried");
            let tokens = self.engine.tokens(draft.seq);
            let (len, last) = (tokens.len(), tokens.last().copied());
            let vocabulary = self.engine.vocabulary();
            let seen = encode_observation(vocabulary, self.dialect, &tried.observation, last);
            let seq = self.engine.fork(draft.seq, len, Purpose::Judge);
            shown.push(seq);
            self.engine.append(seq, &seen, Purpose::Judge)?;
        }
        Ok(())
    }
}
