//! Qwen 2 and 2.5, Qwen 3, and Qwen 3 with experts.
use super::super::config::{ExpertsConfig, RouterConfig, RouterScores};
use super::super::fields::Fields;
use super::super::metadata::Metadata;
use super::super::{CheckpointError, ModelConfig};
use super::json::{common, common_of_heads};
use super::{gguf, rope};

/// The head dimension of Qwen 3 where config.json does not say.
const HEAD_DIM: usize = 128;

pub(super) fn qwen2(fields: &Fields<'_>) -> Result<ModelConfig, CheckpointError> {
    rope::only_whole(fields)?;
    // Its code asks for none of them: it always has these biases and no others.
    fields.get("attention_bias");
    fields.get("qkv_bias");
    Ok(ModelConfig {
        qkv_bias: true,
        ..common(fields)?
    })
}

pub(super) fn qwen2_gguf(metadata: &Metadata<'_>) -> Result<ModelConfig, CheckpointError> {
    Ok(ModelConfig {
        qkv_bias: true,
        ..gguf::grouped(metadata)?
    })
}

pub(super) fn qwen3(fields: &Fields<'_>) -> Result<ModelConfig, CheckpointError> {
    // It would be that of the output as well.
    fields.only("attention_bias", false)?;
    // What Qwen3-Coder's files say beside it.
    fields.only("qkv_bias", false)?;
    fields.only("use_qk_norm", true)?;
    rope::only_whole(fields)?;
    Ok(ModelConfig {
        head_norms: true,
        ..common_of_heads(fields, Some(HEAD_DIM))?
    })
}

pub(super) fn qwen3_gguf(metadata: &Metadata<'_>) -> Result<ModelConfig, CheckpointError> {
    Ok(ModelConfig {
        head_norms: true,
        ..gguf::grouped(metadata)?
    })
}

pub(super) fn qwen3_moe(fields: &Fields<'_>) -> Result<ModelConfig, CheckpointError> {
    let mut config = qwen3(fields)?;
    if fields.get("head_dim").is_none() {
        // Unlike the dense ones, these divide.
        config = ModelConfig {
            head_norms: true,
            ..common(fields)?
        };
    }
    fields.only("shared_expert_intermediate_size", 0)?;
    let every = fields.maybe_size("decoder_sparse_step")?.unwrap_or(1);
    let listed = fields.sizes("mlp_only_layers")?;
    let is_dense = |i: &usize| listed.contains(i) || every == 0 || !(i + 1).is_multiple_of(every);
    let experts = ExpertsConfig {
        // transformers 5 has another name for it.
        n: match fields.maybe_size("num_experts")? {
            Some(n) => n,
            None => fields.size("num_local_experts")?,
        },
        n_used: fields.size("num_experts_per_tok")?,
        ffn: fields.size("moe_intermediate_size")?,
        shared_ffn: 0,
        dense_layers: (0..config.n_layers).filter(is_dense).collect(),
        router: RouterConfig {
            scores: RouterScores::Softmax,
            corrected: false,
            n_groups: 1,
            n_groups_used: 1,
            normalised: fields.flag("norm_topk_prob", false)?,
            scale: 1.0,
        },
    };
    Ok(ModelConfig {
        experts: Some(experts),
        ..config
    })
}

/// All layers have experts, and the weights of the chosen add up to one.
pub(super) fn qwen3_moe_gguf(metadata: &Metadata<'_>) -> Result<ModelConfig, CheckpointError> {
    let config = qwen3_gguf(metadata)?;
    gguf::check_scores(metadata, RouterScores::Softmax)?;
    let mut experts = gguf::experts(metadata, RouterScores::Softmax, config.n_layers)?;
    experts.router.normalised = true;
    Ok(ModelConfig {
        experts: Some(experts),
        ..config
    })
}
