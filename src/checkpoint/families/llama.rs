//! Llama and what is built like it (SmolLM2).
use super::super::fields::Fields;
use super::super::metadata::Metadata;
use super::super::{CheckpointError, ModelConfig};
use super::{common, gguf};

pub(super) fn from_json(fields: &Fields<'_>) -> Result<ModelConfig, CheckpointError> {
    fields.only("attention_bias", false)?;
    fields.only("mlp_bias", false)?;
    common(fields)
}

/// GGUF has the rows of q and k put in the order of neighbours.
pub(super) fn from_gguf(metadata: &Metadata<'_>) -> Result<ModelConfig, CheckpointError> {
    // Llama 3.1's scaling lies in a tensor of its own there.
    let file = metadata.gguf();
    file.refuse_tensor("rope_freqs.weight", "RoPE scaling by a tensor of factors")?;
    let mut config = gguf::grouped(metadata)?;
    config.rotary.interleaved = true;
    Ok(config)
}
