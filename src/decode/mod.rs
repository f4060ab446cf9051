//! Decides, without tensors: what a row of logits says, which token to take,
//! what a grammar allows, how uncertain an action was, and where to branch.
//! Everything here is pure; `engine` and `search` act on it.
mod mask;
mod row;
mod sampler;
mod token;
mod truncate;

pub use mask::Mask;
pub use row::{RowStats, logprob, masked_entropy};
pub use sampler::{sample, siblings};
pub use token::token_entropy;

/// What can go wrong while deciding.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DecodeError {
    #[error("the row of logits is empty; the model must give one logit per vocabulary entry")]
    EmptyRow,
    #[error(
        "logit {token} is {value}; the weights or the forward pass are broken (try --dtype f32, and check the file with `egss models show`)"
    )]
    BadLogit { token: usize, value: f32 },
    #[error("every logit is -inf, so no token has a probability; the forward pass is broken")]
    NoFiniteLogit,
}
