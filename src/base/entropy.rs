//! The uncertainty figures that decoding hands to the search.
//!
//! "Entropy" is always Shannon's, over raw logits (f32, temperature 1, before
//! any mask), in nats. Any other entropy carries another name.
use serde::{Deserialize, Serialize};

/// One decoded token and how certain the model was of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenEntropy {
    /// The token that was taken.
    pub token: u32,
    /// Natural log of the taken token's probability under the raw logits.
    pub logprob: f32,
    /// `-sum p ln p` over the full vocabulary, nats.
    pub entropy_nats: f32,
    /// Variance of `-ln p` under `p`, nats².
    pub varentropy: f32,
    /// Probability of the most likely token.
    pub top1_prob: f32,
    /// `top1_prob` minus the probability of the second most likely token.
    pub margin: f32,
    /// Entropy after the grammar's mask (renormalised), nats; `None` without a grammar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub masked_entropy_nats: Option<f32>,
    /// True when the grammar left exactly one token: such tokens are left out
    /// of an action's mean and maximum.
    #[serde(default)]
    pub forced: bool,
}

/// How probability spreads over what may be chosen, where the choice's name starts: the
/// tools that are allowed, or the locations that a first call may view.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChoiceEntropy {
    /// Entropy of the distribution over the choices, renormalised, nats.
    pub entropy_nats: f32,
    /// Each choice with its raw path probability (product over its name's tokens, closing
    /// delimiter included); not renormalised.
    pub probs: Vec<(String, f32)>,
    /// `1 - sum(probs)`: everything else, other tokenisations included.
    pub outside_mass: f32,
}
