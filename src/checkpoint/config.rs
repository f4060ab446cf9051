//! The shape of a model, as plain data.
use super::CheckpointError;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What a decoder needs to know of a checkpoint; validated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// The family's name in the checkpoint: `qwen2`, `glm4`, ...
    pub architecture: String,
    pub n_layers: usize,
    /// Hidden size, E.
    pub hidden: usize,
    /// Query heads, H.
    pub n_heads: usize,
    /// Key/value heads that are cached, K; divides H. One where latents are.
    pub n_kv_heads: usize,
    /// Dimension of a cached head, D; even.
    pub head_dim: usize,
    /// Inner size of the dense feed-forward layers, F.
    pub ffn: usize,
    /// Rows of the embedding and of the logits, V; may exceed the number of
    /// tokens that the tokenizer knows.
    pub vocab: usize,
    /// Tokens that the model was trained to hold in one sequence.
    pub context_max: usize,
    pub rotary: Rotary,
    /// Added to the mean square in RMSNorm.
    pub rms_eps: f32,
    /// True when the LM head is the embedding: there is no `output.weight`.
    pub tied_embeddings: bool,
    /// True when the q, k and v projections carry a bias.
    pub qkv_bias: bool,
    /// True when each head of the queries and keys is normalised (Qwen3).
    pub head_norms: bool,
    /// True when what attention and feed-forward give is normalised before it is
    /// added to the residual (GLM-4's sandwich).
    pub post_norms: bool,
    /// True when files have the gate and the up matrix of a layer in one (GLM-4).
    pub fused_gate_up: bool,
    /// Feed-forward layers that are mixtures of experts.
    pub experts: Option<ExpertsConfig>,
    /// Attention over latents (MLA) instead of keys and values.
    pub latent: Option<LatentConfig>,
}

/// How positions turn queries and keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rotary {
    /// Numbers of a head that are turned, from its first on; even, at most D.
    pub dims: usize,
    pub theta: f32,
    /// True where neighbours are turned together, as the file has them; else the halves
    /// are. Rows of interleaved projections are put in the order of halves when they
    /// are read.
    pub interleaved: bool,
    pub scaling: RopeScaling,
}

/// How a base of shorter contexts is stretched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RopeScaling {
    None,
    /// Positions are divided by the factor.
    Linear {
        factor: f32,
    },
    /// Each pair's frequency is divided by a number of its own, fast pairs first: Llama
    /// 3.1's scaling as GGUF has it.
    Divided {
        divisors: Vec<f32>,
    },
    /// Llama 3.1's: slow frequencies are divided, fast ones kept, linear between.
    Llama3 {
        factor: f32,
        low_freq_factor: f32,
        high_freq_factor: f32,
        original_context: usize,
    },
    /// YaRN (Peng et al. 2023, arXiv 2309.00071).
    Yarn {
        factor: f32,
        beta_fast: f32,
        beta_slow: f32,
        original_context: usize,
        /// Cosines and sines are multiplied by it.
        magnitude: f32,
    },
}

/// A mixture of experts in place of a feed-forward layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExpertsConfig {
    /// Experts that are chosen from, X.
    pub n: usize,
    /// Chosen for a token.
    pub n_used: usize,
    /// Inner size of one.
    pub ffn: usize,
    /// Inner size of what every token goes through beside them; 0: nothing.
    pub shared_ffn: usize,
    /// Layers with a dense feed-forward, ascending.
    pub dense_layers: Vec<usize>,
    pub router: RouterConfig,
}

/// How experts are chosen and weighed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouterConfig {
    pub scores: RouterScores,
    /// True where a learnt bias is added to the scores for the choice alone.
    pub corrected: bool,
    /// Groups of neighbouring experts, and how many of them are chosen from; a group
    /// counts as its two best.
    pub n_groups: usize,
    pub n_groups_used: usize,
    /// True where the chosen weights are divided by their sum.
    pub normalised: bool,
    /// What they are multiplied by.
    pub scale: f32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouterScores {
    Softmax,
    Sigmoid,
}

/// Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434).
///
/// A cached head is the turned part, then the latent: D = `rotary.dims` + `kv_rank`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatentConfig {
    /// Rank of the queries' projection; `None` where it is whole.
    pub q_rank: Option<usize>,
    /// Size of the latent that keys and values are made of.
    pub kv_rank: usize,
    /// Numbers of a query's head that are not turned.
    pub still_dims: usize,
    /// Numbers of a value's head.
    pub value_dims: usize,
    /// What scores are multiplied by, once a query has met a key.
    pub score_scale: f32,
}

/// The kind of layer that a device's kernels would have to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerKind {
    /// Grouped attention and a feed-forward, each added to the residual as it comes.
    Plain,
    /// The same, where some feed-forwards are mixtures of experts.
    Mixture,
    /// Latent attention, or norms behind attention and feed-forward.
    Other,
}

impl ModelConfig {
    /// True when layer `index` is a mixture of experts.
    pub fn is_mixture(&self, index: usize) -> bool {
        let experts = self.experts.as_ref();
        experts.is_some_and(|experts| !experts.dense_layers.contains(&index))
    }

    /// Inputs of the last matrix of every gated feed-forward but the routed experts': of
    /// dense layers, and of what all tokens share.
    pub fn gated_widths(&self) -> Vec<usize> {
        let shared = self
            .experts
            .as_ref()
            .map_or(0, |experts| experts.shared_ffn);
        let has_dense = (0..self.n_layers).any(|index| !self.is_mixture(index));
        let dense = if has_dense { self.ffn } else { 0 };
        [dense, shared].into_iter().filter(|&n| n > 0).collect()
    }

    /// Of which kind the layers are.
    pub fn layer_kind(&self) -> LayerKind {
        match (&self.latent, self.post_norms, &self.experts) {
            (Some(_), _, _) | (None, true, _) => LayerKind::Other,
            (None, false, Some(_)) => LayerKind::Mixture,
            (None, false, None) => LayerKind::Plain,
        }
    }

    /// Hands the configuration on if its numbers fit together.
    pub(super) fn validated(self, path: &Path) -> Result<Self, CheckpointError> {
        match self.misfit() {
            None => Ok(self),
            Some(reason) => Err(CheckpointError::Config {
                path: path.to_owned(),
                reason,
            }),
        }
    }

    /// What does not fit together, if anything.
    fn misfit(&self) -> Option<String> {
        let reason = if let Some(name) = self.zero_size() {
            format!("{name} is 0")
        } else if !self.n_heads.is_multiple_of(self.n_kv_heads) {
            format!(
                "{} query heads cannot share {} key/value heads evenly",
                self.n_heads, self.n_kv_heads
            )
        } else if !self.head_dim.is_multiple_of(2) {
            format!("a head dimension of {} is odd", self.head_dim)
        } else if !self.rotary.dims.is_multiple_of(2) || self.rotary.dims > self.head_dim {
            format!(
                "{} numbers of a head of {} cannot be turned in pairs",
                self.rotary.dims, self.head_dim
            )
        } else if !(self.rotary.theta.is_finite() && self.rotary.theta > 0.0) {
            format!("a RoPE base of {} is not positive", self.rotary.theta)
        } else if let Some(reason) = self.rotary.scaling.misfit() {
            reason
        } else if !(self.rms_eps.is_finite() && self.rms_eps >= 0.0) {
            format!("an RMSNorm epsilon of {} is negative", self.rms_eps)
        } else {
            return self.experts.as_ref().and_then(ExpertsConfig::misfit);
        };
        Some(reason)
    }

    fn zero_size(&self) -> Option<&'static str> {
        let latent = self.latent.iter().flat_map(|latent| {
            [
                (latent.q_rank.unwrap_or(1), "the rank of the queries"),
                (latent.kv_rank, "the size of the latent"),
                (latent.still_dims, "the part of a query that is not turned"),
                (latent.value_dims, "the dimension of a value's head"),
            ]
        });
        [
            (self.n_layers, "the number of layers"),
            (self.hidden, "the hidden size"),
            (self.n_heads, "the number of query heads"),
            (self.n_kv_heads, "the number of key/value heads"),
            (self.head_dim, "the head dimension"),
            (self.rotary.dims, "the number of rotary dimensions"),
            (self.ffn, "the feed-forward size"),
            (self.vocab, "the vocabulary size"),
            (self.context_max, "the context length"),
        ]
        .into_iter()
        .chain(latent)
        .find_map(|(size, name)| (size == 0).then_some(name))
    }
}

impl RopeScaling {
    fn misfit(&self) -> Option<String> {
        let is_positive = |number: &f32| number.is_finite() && *number > 0.0;
        let (numbers, original_context) = match self {
            Self::None => return None,
            Self::Linear { factor } => (vec![*factor], 1),
            Self::Divided { divisors } => (divisors.clone(), 1),
            Self::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_context,
            } => {
                if low_freq_factor == high_freq_factor {
                    return Some(format!(
                        "RoPE's low and high frequency factors are both {low_freq_factor}"
                    ));
                }
                (vec![*factor], *original_context)
            }
            Self::Yarn {
                factor,
                beta_fast,
                beta_slow,
                original_context,
                magnitude,
            } => (
                vec![*factor, *beta_fast, *beta_slow, *magnitude],
                *original_context,
            ),
        };
        if original_context == 0 {
            return Some("the context that RoPE is stretched from is 0".into());
        }
        let wrong = numbers.iter().find(|number| !is_positive(number))?;
        Some(format!(
            "RoPE's scaling by {wrong} is by no positive number"
        ))
    }
}

impl ExpertsConfig {
    fn misfit(&self) -> Option<String> {
        let router = &self.router;
        if self.ffn == 0 {
            Some("the experts' feed-forward size is 0".into())
        } else if self.n_used == 0 || self.n_used > self.n {
            Some(format!(
                "{} of {} experts cannot be chosen",
                self.n_used, self.n
            ))
        } else if router.n_groups == 0 || !self.n.is_multiple_of(router.n_groups) {
            Some(format!(
                "{} experts do not fall into {} groups",
                self.n, router.n_groups
            ))
        } else if router.n_groups_used == 0
            || router.n_groups_used > router.n_groups
            || router.n_groups_used * (self.n / router.n_groups) < self.n_used
        {
            Some(format!(
                "{} experts cannot be chosen from {} of {} groups",
                self.n_used, router.n_groups_used, router.n_groups
            ))
        } else {
            None
        }
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
        rotary: Rotary {
            dims: 2,
            theta: 10_000.0,
            interleaved: false,
            scaling: RopeScaling::None,
        },
        rms_eps: 1e-6,
        tied_embeddings: true,
        qkv_bias: true,
        head_norms: false,
        post_norms: false,
        fused_gate_up: false,
        experts: None,
        latent: None,
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
        let mut nan = tiny();
        nan.rotary.theta = f32::NAN;
        assert!(refusal(nan).contains("RoPE base"));
        let mut wide = tiny();
        wide.rotary.dims = 4;
        assert!(refusal(wide).contains("4 numbers of a head of 2"));
    }
}
