//! The model families, each a mapping from what its checkpoints say to a
//! [`ModelConfig`]. All run on one decoder.
mod deepseek;
mod gguf;
mod glm;
mod llama;
mod qwen;
mod rope;

pub(super) use gguf::DIVISORS;

use super::fields::Fields;
use super::gguf::GgufFile;
use super::metadata::Metadata;
use super::{CheckpointError, ModelConfig, quantised};
use serde_json::Value;
use std::path::Path;

/// A family by the name that its checkpoints give it.
struct Family {
    /// `model_type` of config.json.
    model_type: &'static str,
    from_json: fn(&Fields<'_>) -> Result<ModelConfig, CheckpointError>,
    /// `general.architecture` of GGUF.
    gguf_architecture: &'static str,
    from_gguf: fn(&Metadata<'_>) -> Result<ModelConfig, CheckpointError>,
}

const FAMILIES: [Family; 8] = [
    Family {
        model_type: "llama",
        from_json: llama::from_json,
        gguf_architecture: "llama",
        from_gguf: llama::from_gguf,
    },
    Family {
        model_type: "qwen2",
        from_json: qwen::qwen2,
        gguf_architecture: "qwen2",
        from_gguf: qwen::qwen2_gguf,
    },
    Family {
        model_type: "qwen3",
        from_json: qwen::qwen3,
        gguf_architecture: "qwen3",
        from_gguf: qwen::qwen3_gguf,
    },
    Family {
        model_type: "qwen3_moe",
        from_json: qwen::qwen3_moe,
        gguf_architecture: "qwen3moe",
        from_gguf: qwen::qwen3_moe_gguf,
    },
    Family {
        model_type: "glm4",
        from_json: glm::glm4,
        gguf_architecture: "glm4",
        from_gguf: glm::glm4_gguf,
    },
    Family {
        model_type: "glm4_moe",
        from_json: glm::glm4_moe,
        gguf_architecture: "glm4moe",
        from_gguf: glm::glm4_moe_gguf,
    },
    Family {
        model_type: "deepseek_v3",
        from_json: deepseek::from_json,
        gguf_architecture: "deepseek2",
        from_gguf: deepseek::from_gguf,
    },
    Family {
        model_type: "kimi_k2",
        from_json: deepseek::from_json,
        gguf_architecture: "deepseek2",
        from_gguf: deepseek::from_gguf,
    },
];

/// Names of all families, for messages.
pub(super) fn names() -> String {
    FAMILIES.map(|family| family.model_type).join(", ")
}

/// True for the name of a family.
#[cfg(test)]
pub(super) fn knows(model_type: &str) -> bool {
    FAMILIES
        .iter()
        .any(|family| family.model_type == model_type)
}

/// A configuration, and sentences on what was passed over where it was read.
pub(super) type Noted = (ModelConfig, Vec<String>);

/// The configuration in the config.json at `path`, validated.
///
/// Errors: a family or a field that this program does not run, by name.
pub(super) fn from_json(path: &Path, json: &Value) -> Result<Noted, CheckpointError> {
    let found = json["model_type"].as_str().unwrap_or_default();
    let family = FAMILIES.iter().find(|family| family.model_type == found);
    let family = family.ok_or_else(|| CheckpointError::Architecture {
        found: found.to_owned(),
    })?;
    let fields = Fields::new(path, json);
    let config = (family.from_json)(&fields)?;
    fields.finish()?;
    Ok((config.validated(path)?, fields.notes()))
}

/// The configuration in a GGUF file's metadata, validated.
///
/// Errors: a family or a key that this program does not run, by name.
pub(super) fn from_gguf(gguf: &GgufFile) -> Result<Noted, CheckpointError> {
    let metadata = Metadata::of(gguf)?;
    let found = metadata.architecture();
    let family = FAMILIES
        .iter()
        .find(|family| family.gguf_architecture == found);
    let family = family.ok_or_else(|| CheckpointError::Architecture {
        found: found.to_owned(),
    })?;
    let config = (family.from_gguf)(&metadata)?;
    let notes = metadata.finish()?;
    Ok((config.validated(gguf.path())?, notes))
}

/// What all families say alike in config.json: a dense decoder with grouped queries.
fn common(fields: &Fields<'_>) -> Result<ModelConfig, CheckpointError> {
    common_of_heads(fields, None)
}

/// The same, with the head dimension where config.json does not say; `None`: the hidden
/// size's share.
fn common_of_heads(
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
