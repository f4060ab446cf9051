//! Decides, without tensors: what a row of logits says, which token to take,
//! what a grammar allows, how uncertain an action was, and where to branch.
//! Everything here is pure; `engine` and `search` act on it.
mod action;
mod draft;
mod grammar;
mod mask;
mod policy;
mod row;
mod sampler;
mod token;
mod trie;
mod truncate;
mod vocabulary;
mod weights;

pub use action::{DecodedAction, action_entropy, vote_entropy};
pub use draft::{Before, Drafted, Drafter, Odds, TextId, share_rows};
pub use grammar::{Grammar, GrammarFactory};
pub use mask::Mask;
pub use policy::{AskedGate, BranchAsk, BranchRoom};
pub use row::{RowStats, logprob, masked_entropy};
pub use sampler::sample;
pub use token::{drawn_entropy, forced_entropy, token_entropy};
pub use trie::ChoicePaths;
pub use vocabulary::{Tokenize, check_vocabulary};

/// What can go wrong while deciding.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DecodeError {
    #[error("the row of logits is empty; the model must give one logit per vocabulary entry")]
    EmptyRow,
    #[error(
        "logit {token} is {value}; the weights or the forward pass are broken; fetch the checkpoint again, or compare its SHA-256 with its publisher's"
    )]
    BadLogit { token: usize, value: f32 },
    #[error("every logit is -inf, so no token has a probability; the forward pass is broken")]
    NoFiniteLogit,
    #[error("the vocabulary cannot serve a grammar: {0}")]
    Vocabulary(String),
    #[error("the grammar is wrong: {0}")]
    Grammar(String),
    #[error("the grammar cannot be followed further: {0}; simplify its rules")]
    GrammarFailed(String),
    #[error("the grammar does not allow token {token} here; take tokens from its mask only")]
    TokenRefused { token: u32 },
    #[error("cannot take {asked} tokens back from a grammar that has accepted {accepted}")]
    Rollback { asked: usize, accepted: usize },
    #[error("the probabilities of the choices cannot be found: {0}")]
    ChoicePaths(String),
}
