//! GLM-4-0414, and GLM-4.5 and 4.6 with experts.
use super::super::config::{ExpertsConfig, RouterConfig, RouterScores};
use super::super::fields::Fields;
use super::super::metadata::Metadata;
use super::super::{CheckpointError, ModelConfig};
use super::gguf;
use super::json::{common, common_of_heads};
use super::rope::rotary;

/// GLM-4's head dimension where config.json does not say.
const HEAD_DIM: usize = 128;

/// The share of a head that is turned where config.json does not say.
const TURNED: f32 = 0.5;

pub(super) fn glm4(fields: &Fields<'_>) -> Result<ModelConfig, CheckpointError> {
    let mut config = common_of_heads(fields, Some(HEAD_DIM))?;
    config.rotary = rotary(fields, config.head_dim, TURNED)?;
    config.rotary.interleaved = true;
    config.qkv_bias = fields.flag("attention_bias", true)?;
    config.post_norms = true;
    config.fused_gate_up = true;
    Ok(config)
}

/// What is turned of a head stays in the order of neighbours there.
pub(super) fn glm4_gguf(metadata: &Metadata<'_>) -> Result<ModelConfig, CheckpointError> {
    let mut config = gguf::grouped(metadata)?;
    config.rotary.interleaved = true;
    config.qkv_bias = metadata.gguf().has("blk.0.attn_q.bias");
    config.post_norms = true;
    config.fused_gate_up = true;
    Ok(config)
}

pub(super) fn glm4_moe(fields: &Fields<'_>) -> Result<ModelConfig, CheckpointError> {
    let mut config = common(fields)?;
    config.rotary = rotary(fields, config.head_dim, TURNED)?;
    config.qkv_bias = fields.flag("attention_bias", false)?;
    config.head_norms = fields.flag("use_qk_norm", false)?;
    config.experts = Some(sigmoid_experts(fields, &GLM4_MOE)?);
    Ok(config)
}

pub(super) fn glm4_moe_gguf(metadata: &Metadata<'_>) -> Result<ModelConfig, CheckpointError> {
    let mut config = gguf::grouped(metadata)?;
    config.qkv_bias = metadata.gguf().has("blk.0.attn_q.bias");
    config.head_norms = metadata.gguf().has("blk.0.attn_q_norm.weight");
    // Sigmoids also where the file does not say.
    gguf::check_scores(metadata, RouterScores::Sigmoid)?;
    let experts = gguf::experts(metadata, RouterScores::Sigmoid, config.n_layers)?;
    config.experts = Some(experts);
    Ok(config)
}

/// A router's numbers where config.json does not say: those of the family's class in
/// transformers.
pub(super) struct RouterDefaults {
    pub n_groups: usize,
    pub n_groups_used: usize,
    pub scale: f32,
}

const GLM4_MOE: RouterDefaults = RouterDefaults {
    n_groups: 1,
    n_groups_used: 1,
    scale: 1.0,
};

/// Experts that sigmoids choose, as GLM and DeepSeek write them down.
pub(super) fn sigmoid_experts(
    fields: &Fields<'_>,
    defaults: &RouterDefaults,
) -> Result<ExpertsConfig, CheckpointError> {
    let ffn = fields.size("moe_intermediate_size")?;
    Ok(ExpertsConfig {
        n: fields.size("n_routed_experts")?,
        n_used: fields.size("num_experts_per_tok")?,
        ffn,
        shared_ffn: ffn * fields.maybe_size("n_shared_experts")?.unwrap_or(1),
        dense_layers: (0..fields.size("first_k_dense_replace")?).collect(),
        router: RouterConfig {
            scores: RouterScores::Sigmoid,
            corrected: true,
            n_groups: fields.maybe_size("n_group")?.unwrap_or(defaults.n_groups),
            n_groups_used: fields
                .maybe_size("topk_group")?
                .unwrap_or(defaults.n_groups_used),
            normalised: fields.flag("norm_topk_prob", true)?,
            scale: fields
                .maybe_real("routed_scaling_factor")?
                .unwrap_or(defaults.scale),
        },
    })
}
