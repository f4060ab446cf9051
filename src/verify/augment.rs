//! The model's additions to the suite (section 2.2): asked for behind what a
//! trajectory has seen, checked by the runner, repaired a few times or dropped.
use super::bench::Bench;
use super::{AugmentRequest, VerifyError};
use crate::agent::{Dialect, Segment, encode};
use crate::base::{Purpose, SeqId};
use crate::engine::{Engine, EngineError, GenerateJob, PrefixCache};
use crate::lang::{Dropped, SourceKind, TestSource};

const SYSTEM: &str = include_str!("prompts/augment_system.md");
const REPAIR: &str = include_str!("prompts/repair.md");

/// Tokens of one answer: three short tests with their imports.
const ANSWER_TOKENS_MAX: usize = 640;
/// Names of tests that the request lists at most.
const KNOWN_MAX: usize = 24;

/// Asks for one source of tests. `Err` in the result is what was dropped: an
/// answer that after [`repairs_max`](crate::base::AugmentSettings::repairs_max)
/// repairs still cannot be collected, or for which tokens, context or KV pool
/// did not suffice.
///
/// A trajectory's sequence is left as it was: the request goes behind it on a
/// fork. Cost: the request's tokens, the answers', and for each answer one
/// collection by the runner.
pub fn augment(
    engine: &mut dyn Engine,
    dialect: &dyn Dialect,
    bench: &Bench<'_>,
    request: &AugmentRequest<'_>,
) -> Result<Result<TestSource, Dropped>, VerifyError> {
    let dropped = |why: String| Dropped {
        origin: request.origin.clone(),
        why,
    };
    let seq = match request.behind {
        Some(seq) => {
            let len = engine.tokens(seq).len();
            engine.fork(seq, len, Purpose::Augmentation)
        }
        None => engine.new_sequence(PrefixCache::Use),
    };
    let ended = Asking {
        engine,
        dialect,
        bench,
        request,
        seq,
    }
    .run();
    engine.release(seq);
    match ended {
        Ok(Ok(text)) => Ok(Ok(TestSource {
            origin: request.origin.clone(),
            kind: SourceKind::Written,
            path: None,
            text,
        })),
        Ok(Err(why)) => Ok(Err(dropped(why))),
        // Additions are a help, not a need: what does not fit is left out.
        Err(VerifyError::Engine(
            error @ (EngineError::ContextFull { .. } | EngineError::KvPoolFull { .. }),
        )) => Ok(Err(dropped(error.to_string()))),
        Err(error) => Err(error),
    }
}

struct Asking<'a> {
    engine: &'a mut dyn Engine,
    dialect: &'a dyn Dialect,
    bench: &'a Bench<'a>,
    request: &'a AugmentRequest<'a>,
    /// The conversation's own.
    seq: SeqId,
}

impl Asking<'_> {
    /// The text of tests that can be collected, or why there is none.
    fn run(&mut self) -> Result<Result<String, String>, VerifyError> {
        let before = self.engine.usage().total().spent_tokens();
        let opening = self.opening();
        self.append(&opening)?;
        let repairs_max = self.request.settings.repairs_max;
        let mut repairs = 0;
        loop {
            let spent = self.engine.usage().total().spent_tokens() - before;
            let Some(left) = self
                .request
                .tokens_max
                .checked_sub(spent)
                .filter(|&n| n > 0)
            else {
                return Ok(Err("the token budget is spent".to_owned()));
            };
            let answer = self.answer(repairs, left)?;
            let fault = match code_block(&answer) {
                Some(text) => match self.bench.source_fault(self.request.tree, text)? {
                    None => return Ok(Ok(text.to_owned())),
                    Some(fault) => fault,
                },
                None => "the answer holds no fenced code block that ends".to_owned(),
            };
            if repairs == repairs_max {
                return Ok(Err(format!("after {repairs} repairs: {fault}")));
            }
            repairs += 1;
            let said = REPAIR.trim_end().replace("{{fault}}", &fault);
            // What a compiler says may quote anything: it is content.
            let said = self.dialect.observation(&said);
            self.append(&said)?;
        }
    }

    fn opening(&self) -> Vec<Segment> {
        let known = match self.request.known {
            [] => "none".to_owned(),
            known => known[..known.len().min(KNOWN_MAX)].join(", "),
        };
        let wanted = self.bench.runner.runner().request_for_tests().trim_end();
        let wanted = wanted.replace("{{known}}", &known);
        match self.request.behind {
            Some(_) => self.dialect.question(&wanted),
            None => {
                let user = format!("Issue:\n{}\n\n{wanted}", self.request.issue.trim());
                self.dialect.prompt(SYSTEM.trim_end(), &user)
            }
        }
    }

    /// Appends a rendered turn; a token that closes the one before it is not
    /// written twice.
    fn append(&mut self, segments: &[Segment]) -> Result<(), EngineError> {
        let vocabulary = self.engine.vocabulary();
        let mut tokens = encode(vocabulary, segments);
        let last = self.engine.tokens(self.seq).last();
        let stops = self.dialect.stop_tokens(vocabulary);
        if tokens.first() == last && last.is_some_and(|token| stops.contains(token)) {
            tokens.remove(0);
        }
        self.engine.append(self.seq, &tokens, Purpose::Augmentation)
    }

    fn answer(&mut self, nth: u32, tokens_max: u64) -> Result<String, EngineError> {
        let stop_tokens = self.dialect.stop_tokens(self.engine.vocabulary());
        let job = GenerateJob {
            seq: self.seq,
            sampler: self.request.sampler,
            rng: self.request.rng.split(u64::from(nth)),
            tokens_max: ANSWER_TOKENS_MAX.min(usize::try_from(tokens_max).unwrap_or(usize::MAX)),
            grammar: None,
            grammar_prefix: 0,
            stop_tokens,
            first_token_not: Vec::new(),
            distinct: None,
            purpose: Purpose::Augmentation,
        };
        let mut generated = self.engine.generate(&[job], &mut |_| {})?;
        let tokens = generated.pop().map(|one| one.tokens).unwrap_or_default();
        let tokens: Vec<u32> = tokens.iter().map(|token| token.token).collect();
        Ok(self.engine.vocabulary().decode(&tokens))
    }
}

/// The inside of the first fenced code block; `None` if there is none, it does
/// not end, or is empty.
fn code_block(answer: &str) -> Option<&str> {
    let (_, rest) = answer.split_once("```")?;
    let (_, body) = rest.split_once('\n')?;
    let end = match body.starts_with("```") {
        true => 0,
        false => body.find("\n```")? + 1,
    };
    let code = &body[..end];
    (!code.trim().is_empty()).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_block_counts_only_whole() {
        let text = "Here:\n```python\nassert 1\n```\nand ```more```";
        assert_eq!(code_block(text), Some("assert 1\n"));
        assert_eq!(code_block("```\nx = 1\n"), None);
        assert_eq!(code_block("```python\n```"), None);
        assert_eq!(code_block("assert 1"), None);
    }
}
