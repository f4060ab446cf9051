//! The shape of a model, as plain data.
use super::CheckpointError;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Architectures whose decoder this program has.
pub const SUPPORTED_ARCHITECTURES: [&str; 1] = ["qwen2"];

/// What a decoder needs to know of a checkpoint; validated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// `qwen2`, ...: one of [`SUPPORTED_ARCHITECTURES`].
    pub architecture: String,
    pub n_layers: usize,
    /// Hidden size, E.
    pub hidden: usize,
    /// Query heads, H.
    pub n_heads: usize,
    /// Key/value heads, K; divides H.
    pub n_kv_heads: usize,
    /// Head dimension, D; even, since RoPE turns it by halves.
    pub head_dim: usize,
    /// Inner size of the feed-forward layers.
    pub ffn: usize,
    /// Rows of the embedding and of the logits, V; may exceed the number of
    /// tokens that the tokenizer knows.
    pub vocab: usize,
    /// Tokens that the model was trained to hold in one sequence.
    pub context_max: usize,
    pub rope_theta: f32,
    /// Added to the mean square in RMSNorm.
    pub rms_eps: f32,
    /// True when the LM head is the embedding: there is no `output.weight`.
    pub tied_embeddings: bool,
    /// True when the q, k and v projections carry a bias.
    pub qkv_bias: bool,
    /// True when each head of the queries and keys is normalised (Qwen3).
    #[serde(default)]
    pub head_norms: bool,
}

impl ModelConfig {
    /// Refuses architectures that this program does not run, by name.
    pub(super) fn check_architecture(found: &str) -> Result<(), CheckpointError> {
        if SUPPORTED_ARCHITECTURES.contains(&found) {
            Ok(())
        } else {
            Err(CheckpointError::Architecture {
                found: found.to_owned(),
            })
        }
    }

    /// Hands the configuration on if its numbers fit together.
    pub(super) fn validated(self, path: &Path) -> Result<Self, CheckpointError> {
        let reason = if let Some(name) = self.zero_size() {
            format!("{name} is 0")
        } else if !self.n_heads.is_multiple_of(self.n_kv_heads) {
            format!(
                "{} query heads cannot share {} key/value heads evenly",
                self.n_heads, self.n_kv_heads
            )
        } else if !self.head_dim.is_multiple_of(2) {
            format!("a head dimension of {} is odd", self.head_dim)
        } else if !(self.rope_theta.is_finite() && self.rope_theta > 0.0) {
            format!("a RoPE base of {} is not positive", self.rope_theta)
        } else if !(self.rms_eps.is_finite() && self.rms_eps >= 0.0) {
            format!("an RMSNorm epsilon of {} is negative", self.rms_eps)
        } else {
            return Ok(self);
        };
        Err(CheckpointError::Config {
            path: path.to_owned(),
            reason,
        })
    }

    fn zero_size(&self) -> Option<&'static str> {
        [
            (self.n_layers, "the number of layers"),
            (self.hidden, "the hidden size"),
            (self.n_heads, "the number of query heads"),
            (self.n_kv_heads, "the number of key/value heads"),
            (self.head_dim, "the head dimension"),
            (self.ffn, "the feed-forward size"),
            (self.vocab, "the vocabulary size"),
            (self.context_max, "the context length"),
        ]
        .into_iter()
        .find_map(|(size, name)| (size == 0).then_some(name))
    }
}

#[cfg(test)]
pub(super) fn tiny() -> ModelConfig {
    ModelConfig {
        architecture: "qwen2".into(),
        n_layers: 1,
        hidden: 8,
        n_heads: 4,
        n_kv_heads: 2,
        head_dim: 2,
        ffn: 16,
        vocab: 10,
        context_max: 32,
        rope_theta: 10_000.0,
        rms_eps: 1e-6,
        tied_embeddings: true,
        qkv_bias: true,
        head_norms: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_do_not_fit_together_are_refused() {
        let refusal = |config: ModelConfig| {
            config
                .validated(Path::new("config.json"))
                .unwrap_err()
                .to_string()
        };
        assert!(tiny().validated(Path::new("x")).is_ok());
        let odd_heads = ModelConfig {
            n_kv_heads: 3,
            ..tiny()
        };
        assert_eq!(
            refusal(odd_heads),
            "config.json: 4 query heads cannot share 3 key/value heads evenly"
        );
        let no_heads = ModelConfig {
            n_kv_heads: 0,
            ..tiny()
        };
        assert_eq!(
            refusal(no_heads),
            "config.json: the number of key/value heads is 0"
        );
        let nan = ModelConfig {
            rope_theta: f32::NAN,
            ..tiny()
        };
        assert!(refusal(nan).contains("RoPE base"));
    }

    #[test]
    fn an_unknown_architecture_is_refused_by_name() {
        let error = ModelConfig::check_architecture("foo").unwrap_err();
        assert_eq!(
            error.to_string(),
            "architecture \"foo\" is not supported; this program runs: qwen2"
        );
    }
}
