//! The model families, each a mapping from what its checkpoints say to a
//! [`ModelConfig`]. All run on one decoder.
//!
//! A family differs from another in data only: the share of a head that is turned and how,
//! norms over heads and behind each half of a layer, experts and their router, latents in
//! place of keys and values.
//!
//! A model is run right or not at all. `Fields` and `Metadata` remember which fields were
//! asked for. A field that nobody asked for is refused by name if its name speaks of a
//! computation (`fields::COMPUTING_WORDS`), and so is every unknown tensor of a GGUF file.
//! Other fields are passed over with a note. A value that is read but not supported goes
//! through `fields.only(NAME, VALUE)`. `folder.rs` says which files of a folder hold the
//! weights, `special.rs` which tokens have names, `templates.rs` which chat template holds,
//! each by transformers' precedence; `tests/checkpoint_folders` compares variants of one
//! folder with transformers.
//!
//! `CONTRIBUTING.md` says how a family is added.
mod deepseek;
mod gguf;
mod glm;
mod json;
mod llama;
mod qwen;
mod rope;

pub(super) use gguf::DIVISORS;

use super::fields::Fields;
use super::gguf::GgufFile;
use super::metadata::Metadata;
use super::{CheckpointError, ModelConfig};
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
fn names() -> String {
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
        known: names(),
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
        known: names(),
    })?;
    let config = (family.from_gguf)(&metadata)?;
    let notes = metadata.finish()?;
    Ok((config.validated(gguf.path())?, notes))
}
