//! The grammars' factory, made when a grammar is first asked for.
//!
//! The trie of a large vocabulary takes one thread some tenths of a second. Nobody wants it
//! before a prompt is computed, and beside that it would take as long again: the kernels have
//! a thread on every core, and all of them wait for the one that shares its core.
use super::api::EngineError;
use crate::decode::{DecodeError, Grammar, GrammarFactory};
use std::sync::LazyLock;

type Make = Box<dyn FnOnce() -> Result<GrammarFactory, DecodeError> + Send>;

/// Compiles grammars, for all engines of a model.
pub(super) struct Grammars(LazyLock<Result<GrammarFactory, DecodeError>, Make>);

impl Grammars {
    /// Grammars of the factory that `make` makes.
    pub(super) fn new(
        make: impl FnOnce() -> Result<GrammarFactory, DecodeError> + Send + 'static,
    ) -> Self {
        Self(LazyLock::new(Box::new(make)))
    }

    /// As [`GrammarFactory::compile`]; the first call makes the factory.
    pub(super) fn compile(&self, lark: &str) -> Result<Grammar, EngineError> {
        let refused = |error: &DecodeError| EngineError::Grammar(error.to_string());
        let factory = self.0.as_ref().map_err(refused)?;
        factory.compile(lark).map_err(|error| refused(&error))
    }
}
