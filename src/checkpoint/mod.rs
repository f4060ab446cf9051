//! Checkpoints: weights, tokenizer and chat template as they lie on disk, and
//! how they get there (manifests, the hub, checksums).
//!
//! Tensors go by GGUF's names whatever the file ([`names`]); metadata is read
//! and every extent and shape checked before a byte of weights is loaded.
mod config;
mod encoded;
mod ends;
mod error;
mod families;
mod fields;
mod folder;
mod gguf;
mod hub;
mod json;
mod manifest;
mod metadata;
mod names;
mod open;
mod packed;
mod precision;
mod profile;
mod quantised;
mod random;
mod safetensors_dir;
mod special;
mod stored;
mod template;
mod templates;
mod tokenizer;

pub use config::{
    ExpertsConfig, LatentConfig, LayerKind, ModelConfig, RopeScaling, Rotary, RouterConfig,
    RouterScores,
};
pub use error::CheckpointError;
pub(crate) use error::Grouped;
pub use hub::{HubSettings, pull, sha256_of};
#[cfg(test)]
use manifest::find_built_in;
pub use manifest::{
    DEFAULT_MODEL, find_manifest, keep_gates, manifest_config, manifests, models_dir, resolve,
};
pub use open::Checkpoint;
pub use packed::{Keeping, Outcome, PackedFolder, Pruned};
pub use precision::{ModelShape, Precision};
pub use profile::find_profile;
pub use stored::{Stored, TensorEntry, Weight, candle_type};
pub use template::{ChatTemplate, FunctionCall, Message, Segment, ToolCall, ToolKind};
pub use tokenizer::Tokenizer;
