//! The reason why a text holds no action.

/// Why a text holds no action: one sentence, written for the model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(pub String);
