//! Llama and what is built like it (SmolLM2).
use super::super::fields::Fields;
use super::super::metadata::Metadata;
use super::super::{CheckpointError, ModelConfig};
use super::json::common;
use super::{gguf, rope};

pub(super) fn from_json(fields: &Fields<'_>) -> Result<ModelConfig, CheckpointError> {
    fields.only("attention_bias", false)?;
    fields.only("mlp_bias", false)?;
    rope::only_whole(fields)?;
    common(fields)
}

/// GGUF has the rows of q and k put in the order of neighbours.
pub(super) fn from_gguf(metadata: &Metadata<'_>) -> Result<ModelConfig, CheckpointError> {
    let mut config = gguf::grouped(metadata)?;
    // Llama 3.1's scaling lies in a tensor of its own there.
    gguf::take_divisors(metadata, &mut config.rotary)?;
    config.rotary.interleaved = true;
    Ok(config)
}
