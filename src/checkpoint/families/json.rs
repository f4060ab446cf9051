//! The part of config.json that all families write alike.
use super::super::fields::Fields;
use super::super::{CheckpointError, ModelConfig, quantised};
use super::rope;
use serde_json::Value;

/// A dense decoder with grouped queries.
pub(super) fn common(fields: &Fields<'_>) -> Result<ModelConfig, CheckpointError> {
    common_of_heads(fields, None)
}

/// The same, with the head dimension where config.json does not say; `None`: the hidden
/// size's share.
pub(super) fn common_of_heads(
    fields: &Fields<'_>,
    head_dim: Option<usize>,
) -> Result<ModelConfig, CheckpointError> {
    fields.only("hidden_act", "silu")?;
    fields.only("use_sliding_window", false)?;
    if let Some(kinds) = fields.get("layer_types").and_then(Value::as_array) {
        let other = kinds.iter().find(|kind| *kind != "full_attention");
        if let Some(kind) = other {
            return Err(fields.unsupported("layer_types", kind));
        }
    }
    // How it is quantised was looked at when the files were opened.
    for key in quantised::KEYS {
        fields.within(key, "")?;
    }
    // Without `use_sliding_window` it is a number that nothing takes.
    fields.get("sliding_window");
    let hidden = fields.size("hidden_size")?;
    let n_heads = fields.size("num_attention_heads")?;
    let head_dim = match fields.maybe_size("head_dim")?.or(head_dim) {
        Some(head_dim) => head_dim,
        None => hidden.checked_div(n_heads).unwrap_or(0),
    };
    let rotary = rope::rotary(fields, head_dim, 1.0)?;
    let context_max = fields.size("max_position_embeddings")?;
    Ok(ModelConfig {
        architecture: fields
            .get("model_type")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        n_layers: fields.size("num_hidden_layers")?,
        hidden,
        n_heads,
        n_kv_heads: fields.maybe_size("num_key_value_heads")?.unwrap_or(n_heads),
        head_dim,
        ffn: fields.size("intermediate_size")?,
        vocab: fields.size("vocab_size")?,
        context_max: rope::context_max(&rotary.scaling, context_max),
        rotary,
        rms_eps: fields.real("rms_norm_eps")?,
        tied_embeddings: fields.flag("tie_word_embeddings", false)?,
        qkv_bias: false,
        head_norms: false,
        post_norms: false,
        fused_gate_up: false,
        experts: None,
        latent: None,
    })
}
