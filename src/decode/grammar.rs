//! Holds generated text to a grammar (Lark, llguidance's dialect).
//!
//! **Special tokens** (added tokens: `<|im_end|>`, `<tool_call>`, ...) are not
//! text to a grammar: no literal or regex ever matches one. Name them in rules,
//! outside quotes, as they are spelled: `start: <tool_call> "\n" BODY
//! </tool_call>`; `<[151657]>` names one by id. A quoted `"<tool_call>"` means
//! those eleven characters, spelled with ordinary tokens, which no model was
//! trained on. They cannot stand in terminals (UPPERCASE names).
//!
//! **Forced text** is tokenised as the model's own tokenizer would: take
//! [`Grammar::forced`] before asking for a mask, since a mask alone would let
//! the model spell forced text in any of its tokenisations. (A mask asked for
//! anyway allows the first forced token only.)
use super::vocabulary::{Tokenize, VocabularyEnv};
use super::{DecodeError, Mask};
use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{InferenceCapabilities, TokEnv};
use llguidance::{Matcher, ParserFactory};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Compiled grammars kept; past it all are dropped, since a run uses a handful.
const CACHED_MAX: usize = 64;

/// Compiles grammars for one vocabulary.
pub struct GrammarFactory {
    factory: ParserFactory,
    /// Fresh grammars by their text.
    cache: Mutex<HashMap<String, Grammar>>,
    vocabulary_len: usize,
}

impl GrammarFactory {
    /// `token_bytes[id]` is a token's bytes, empty for an unused id. Special
    /// tokens are those that `special` flags, and beyond these every `<...>`
    /// that `tokenize` does not give for its own bytes (`<tool_call>`). The
    /// logits may have more rows than there are tokens: ids past the vocabulary
    /// are never allowed.
    ///
    /// Errors: `Vocabulary`. Cost: a trie over the vocabulary, some tenths of a
    /// second; once a model.
    pub fn new(
        token_bytes: Vec<Vec<u8>>,
        special: &[bool],
        eos: u32,
        tokenize: Tokenize,
    ) -> Result<Self, DecodeError> {
        let vocabulary_len = token_bytes.len();
        let env = VocabularyEnv::new(token_bytes, special, eos, tokenize)?;
        let env: TokEnv = Arc::new(env);
        let mut factory = ParserFactory::new(
            &env,
            InferenceCapabilities {
                ff_tokens: true,
                ..InferenceCapabilities::default()
            },
            &llguidance::earley::SlicedBiasComputer::general_slices(),
        )
        .map_err(|error| DecodeError::Vocabulary(one_sentence(&error.to_string())))?;
        factory.quiet();
        factory.limits_mut().verbose_errors = false;
        Ok(Self {
            factory,
            cache: Mutex::default(),
            vocabulary_len,
        })
    }

    /// A grammar at its start. Errors: `Grammar` with the place and the reason.
    ///
    /// Cost: milliseconds the first time, then a [`Grammar::fork`].
    pub fn compile(&self, lark: &str) -> Result<Grammar, DecodeError> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fresh) = cache.get(lark) {
            return Ok(fresh.fork());
        }
        let parser = self
            .factory
            .create_parser(TopLevelGrammar::from_lark(lark.to_owned()));
        let matcher = Matcher::new(parser);
        if let Some(message) = matcher.get_error() {
            return Err(DecodeError::Grammar(one_sentence(&message)));
        }
        let mut fresh = Grammar {
            matcher,
            vocabulary_len: self.vocabulary_len,
            n_accepted: 0,
        };
        // The lexer's states are made on demand: what the first mask needs is
        // made here once, for every fork. This also finds a grammar that
        // matches nothing at all.
        fresh.mask().map_err(|error| match error {
            DecodeError::GrammarFailed(message) => DecodeError::Grammar(message),
            other => other,
        })?;
        if cache.len() >= CACHED_MAX {
            cache.clear();
        }
        let forked = fresh.fork();
        cache.insert(lark.to_owned(), fresh);
        Ok(forked)
    }
}

/// Where a text stands in its grammar.
///
/// Not `Clone`: llguidance's plain clone shares the lexer's state between
/// copies; [`Grammar::fork`] does not.
pub struct Grammar {
    matcher: Matcher,
    vocabulary_len: usize,
    n_accepted: usize,
}

impl Grammar {
    /// The tokens that may come next. Once the text is finished: the eos token
    /// only.
    ///
    /// Errors: `GrammarFailed` where the grammar is too ambiguous to follow.
    pub fn mask(&mut self) -> Result<Mask, DecodeError> {
        let allowed = self.matcher.compute_mask_or_eos().map_err(failed)?;
        Ok(Mask::from_words(allowed.into(), self.vocabulary_len))
    }

    /// Tokens that must come next whatever the model says, in the model's own
    /// tokenisation; empty where it is free to choose. They are not accepted yet.
    pub fn forced(&mut self) -> Vec<u32> {
        if self.is_finished() {
            return Vec::new();
        }
        self.matcher.compute_ff_tokens()
    }

    /// Goes one token on. Errors: `TokenRefused`, after which the grammar
    /// stands where it stood; `GrammarFailed`.
    pub fn accept(&mut self, token: u32) -> Result<(), DecodeError> {
        let refused = DecodeError::TokenRefused { token };
        if self.is_finished() || token as usize >= self.vocabulary_len {
            return Err(refused);
        }
        match self.matcher.try_consume_tokens(&[token]).map_err(failed)? {
            0 => Err(refused),
            _ => {
                self.n_accepted += 1;
                Ok(())
            }
        }
    }

    /// True when nothing more may come: eos was taken, or the grammar's text is
    /// complete and cannot go on.
    pub fn is_finished(&self) -> bool {
        self.matcher.is_stopped()
    }

    /// True when the text may end here (the mask allows eos).
    pub fn can_stop(&mut self) -> bool {
        self.is_finished() || self.matcher.is_accepting().unwrap_or(false)
    }

    /// Tokens accepted and not rolled back since the grammar's start.
    pub fn n_accepted(&self) -> usize {
        self.n_accepted
    }

    /// Takes the last `n` tokens back, also from a finished text.
    /// Errors: `Rollback` where fewer were accepted.
    pub fn rollback(&mut self, n: usize) -> Result<(), DecodeError> {
        if n > self.n_accepted {
            return Err(DecodeError::Rollback {
                asked: n,
                accepted: self.n_accepted,
            });
        }
        self.matcher.rollback(n).map_err(failed)?;
        self.n_accepted -= n;
        Ok(())
    }

    /// An independent copy at the same place; neither disturbs the other.
    ///
    /// Cost: copies the parser's rows and the lexer's states made so far.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self {
            matcher: self.matcher.deep_clone(),
            vocabulary_len: self.vocabulary_len,
            n_accepted: self.n_accepted,
        }
    }
}

fn failed(error: impl std::fmt::Display) -> DecodeError {
    DecodeError::GrammarFailed(one_sentence(&error.to_string()))
}

/// llguidance's messages run over several lines: `at 1(8): what is wrong`, then
/// an excerpt of the grammar with a caret, markers for its own log, and the
/// backtrace of a panic that it caught.
fn one_sentence(message: &str) -> String {
    if message.contains("NoExtension") {
        return "no text matches it".to_owned();
    }
    let message = message.split("<backtrace>").next().unwrap_or_default();
    let is_excerpt = |line: &str| {
        let number = line.trim_start().split(" |").next().unwrap_or_default();
        let caret = line.trim_matches([' ', '^']).is_empty();
        caret || line.contains(" |") && number.parse::<usize>().is_ok()
    };
    let said: Vec<&str> = message
        .lines()
        .filter(|line| !is_excerpt(line) && !line.contains("<non-verbose/>"))
        .map(str::trim)
        .collect();
    let said = said.join(" ").trim_end().to_owned();
    place(&said).unwrap_or(said)
}

/// `at 1(8): unknown name` as `line 1, column 8: unknown name`.
fn place(said: &str) -> Option<String> {
    let (place, reason) = said.split_once("): ")?;
    let (line, column) = place.strip_prefix("at ").unwrap_or(place).split_once('(')?;
    let (line, column): (usize, usize) = (line.parse().ok()?, column.parse().ok()?);
    Some(format!("line {line}, column {column}: {reason}"))
}

#[cfg(test)]
#[path = "grammar_tests.rs"]
mod tests;
