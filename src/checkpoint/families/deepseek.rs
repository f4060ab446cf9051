//! DeepSeek-V3 and Kimi-K2: attention over latents, many experts.
use super::super::config::{LatentConfig, RopeScaling, RouterScores};
use super::super::fields::Fields;
use super::super::metadata::Metadata;
use super::super::{CheckpointError, ModelConfig};
use super::json::common;
use super::rope::{parameters, yarn_magnitude};
use super::{gguf, glm};

const ROUTER: glm::RouterDefaults = glm::RouterDefaults {
    n_groups: 8,
    n_groups_used: 4,
    scale: 2.5,
};

/// GGUF has YaRN's factor for all dimensions times this.
const YARN_LOG_UNIT: f32 = 0.1;

pub(super) fn from_json(fields: &Fields<'_>) -> Result<ModelConfig, CheckpointError> {
    fields.only("attention_bias", false)?;
    fields.only("moe_layer_freq", 1)?;
    fields.only("scoring_func", "sigmoid")?;
    fields.only("topk_method", "noaux_tc")?;
    let mut config = common(fields)?;
    let kv_rank = fields.size("kv_lora_rank")?;
    let turned = fields.size("qk_rope_head_dim")?;
    let still_dims = fields.size("qk_nope_head_dim")?;
    // Said twice in newer files.
    fields.only("qk_head_dim", turned + still_dims)?;
    let all = parameters(fields)?.maybe_real("mscale_all_dim")?;
    let magnitude = match (all, &config.rotary.scaling) {
        (Some(all), RopeScaling::Yarn { factor, .. }) if all != 0.0 => yarn_magnitude(*factor, all),
        (Some(all), RopeScaling::Linear { factor }) if all != 0.0 => yarn_magnitude(*factor, all),
        _ => 1.0,
    };
    config.rotary.dims = turned;
    config.rotary.interleaved = fields.flag("rope_interleave", true)?;
    config.n_kv_heads = 1;
    config.head_dim = turned + kv_rank;
    config.experts = Some(glm::sigmoid_experts(fields, &ROUTER)?);
    config.latent = Some(LatentConfig {
        q_rank: fields.maybe_size("q_lora_rank")?,
        kv_rank,
        still_dims,
        value_dims: fields.size("v_head_dim")?,
        score_scale: magnitude * magnitude / ((turned + still_dims) as f32).sqrt(),
    });
    Ok(config)
}

pub(super) fn from_gguf(metadata: &Metadata<'_>) -> Result<ModelConfig, CheckpointError> {
    let mut config = gguf::common(metadata)?;
    // Softmax where the file does not say: that is DeepSeek-V2, whose groups count
    // otherwise.
    if !gguf::check_scores(metadata, RouterScores::Sigmoid)? {
        return Err(metadata.missing("expert_gating_func"));
    }
    let turned = metadata.size("rope.dimension_count")?;
    let kv_rank = metadata.size("attention.kv_lora_rank")?;
    // The lengths of a head's queries and values. Older files have them in the place of
    // what is cached.
    let length =
        |which: &str| match metadata.maybe_size(&format!("attention.{which}_length_mla"))? {
            Some(length) => {
                metadata.maybe_size(&format!("attention.{which}_length"))?;
                Ok(length)
            }
            None => metadata.size(&format!("attention.{which}_length")),
        };
    let (query_dims, value_dims) = (length("key")?, length("value")?);
    let Some(still_dims) = query_dims.checked_sub(turned) else {
        return Err(metadata.unsupported("rope.dimension_count"));
    };
    let mut score_magnitude = 1.0;
    if let RopeScaling::Yarn {
        factor, magnitude, ..
    } = &mut config.rotary.scaling
    {
        metadata.only_real("rope.scaling.yarn_attn_factor", 1.0)?;
        let all = metadata.real("rope.scaling.yarn_log_multiplier")? / YARN_LOG_UNIT;
        if all != 0.0 {
            // The file does not have the factor of what is turned: it is the same in all
            // published models, so that one undoes the other.
            *magnitude = 1.0;
            score_magnitude = yarn_magnitude(*factor, all);
        }
    }
    config.rotary.interleaved = true;
    config.n_kv_heads = 1;
    config.head_dim = turned + kv_rank;
    config.experts = Some(gguf::experts(
        metadata,
        RouterScores::Sigmoid,
        config.n_layers,
    )?);
    config.latent = Some(LatentConfig {
        q_rank: metadata.maybe_size("attention.q_lora_rank")?,
        kv_rank,
        still_dims,
        value_dims,
        score_scale: score_magnitude * score_magnitude / (query_dims as f32).sqrt(),
    });
    Ok(config)
}
