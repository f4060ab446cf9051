//! DeepSeek-V3 and Kimi-K2: attention over latents, many experts.
use super::super::config::LatentConfig;
use super::super::fields::Fields;
use super::super::{CheckpointError, ModelConfig};
use super::rope::yarn_magnitude;
use super::{common, glm};

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
    let magnitude = fields.within("rope_scaling", "rope_scaling.");
    let magnitude = match magnitude.is_empty() {
        true => fields.within("rope_parameters", "rope_parameters."),
        false => magnitude,
    };
    let magnitude = match magnitude.maybe_real("mscale_all_dim")? {
        Some(all) if all != 0.0 => yarn_magnitude(magnitude.real("factor")?, all),
        _ => 1.0,
    };
    config.rotary.dims = turned;
    config.rotary.interleaved = fields.flag("rope_interleave", true)?;
    config.n_kv_heads = 1;
    config.head_dim = turned + kv_rank;
    config.experts = Some(glm::sigmoid_experts(fields)?);
    config.latent = Some(LatentConfig {
        q_rank: fields.maybe_size("q_lora_rank")?,
        kv_rank,
        still_dims,
        value_dims: fields.size("v_head_dim")?,
        score_scale: magnitude * magnitude / ((turned + still_dims) as f32).sqrt(),
    });
    Ok(config)
}
