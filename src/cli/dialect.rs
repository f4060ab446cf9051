//! The chat markup of an opened model.
use crate::agent::{Dialect, REASONING_CLOSING, REASONING_OPENING, SplicedDialect};
use crate::engine::{Engine, Opened};
use anyhow::{Context, bail};

/// True for a model whose vocabulary has the marks of reasoning.
pub fn can_reason(opened: &Opened) -> bool {
    let vocabulary = opened.engine.vocabulary();
    let is_token = |mark: &str| vocabulary.encode_special(mark).len() == 1;
    [REASONING_OPENING, REASONING_CLOSING]
        .into_iter()
        .all(is_token)
}

/// The chat markup of the opened checkpoint, cut from its own template, for a model
/// that may reason with so many tokens.
pub fn dialect(
    opened: &Opened,
    reasoning_tokens_max: usize,
) -> anyhow::Result<impl Dialect + Sync + use<>> {
    let vocabulary = opened.engine.vocabulary();
    let reasons = reasoning_tokens_max > 0;
    if reasons && !can_reason(opened) {
        bail!(
            "this model does not reason ({REASONING_OPENING} is no token of its vocabulary); leave out --reasoning-tokens-max"
        );
    }
    let stops = opened
        .stop_tokens
        .iter()
        .map(|&token| vocabulary.decode(&[token]))
        .collect();
    SplicedDialect::of(&opened.template, stops, reasons)
        .context("this model's chat template cannot carry an agent")
}
