//! A directory as published for the `transformers` package: config.json,
//! `*.safetensors` (one, or several with an index), tokenizer.json.
use super::{CheckpointError, ModelConfig, names};
use candle_core::{DType, Device, Tensor};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Headers above this are no safetensors (the format's own limit).
const HEADER_BYTES_MAX: u64 = 100_000_000;

/// One `.safetensors` file.
struct Shard {
    file: Mutex<File>,
    /// Where the tensors' bytes begin.
    data_start: u64,
}

/// An open checkpoint directory whose headers are read and whose tensors all
/// lie within their files.
pub(super) struct SafetensorsDir {
    dir: PathBuf,
    /// config.json as it stands.
    config: Value,
    shards: Vec<Shard>,
    /// Safetensors name -> (index into `shards`, where and what).
    tensors: HashMap<String, (usize, TensorInfo)>,
}

/// The fields of config.json that a decoder needs.
#[derive(Deserialize)]
struct HfConfig {
    num_hidden_layers: usize,
    hidden_size: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    intermediate_size: usize,
    vocab_size: usize,
    max_position_embeddings: usize,
    rope_theta: Option<f32>,
    rms_norm_eps: f32,
    #[serde(default)]
    tie_word_embeddings: bool,
}

impl SafetensorsDir {
    /// Reads config.json and the headers of all shards.
    pub fn open(dir: &Path) -> Result<Self, CheckpointError> {
        let config = require_json(dir, "config.json")?;
        let files = shard_files(dir)?;
        let mut open = Self {
            dir: dir.to_owned(),
            config,
            shards: Vec::new(),
            tensors: HashMap::new(),
        };
        for path in files {
            let (shard, metadata) = open_shard(&path)?;
            let index = open.shards.len();
            open.shards.push(shard);
            for (name, info) in metadata.tensors() {
                open.tensors.insert(name, (index, info.clone()));
            }
        }
        Ok(open)
    }

    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// A JSON file of the directory; `None` if it is not there.
    pub fn json(&self, file: &str) -> Result<Option<Value>, CheckpointError> {
        read_json(&self.dir.join(file))
    }

    /// config.json.
    pub fn config_json(&self) -> &Value {
        &self.config
    }

    /// The shape of a tensor by canonical name; `None` if it is not there.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        Some(&self.find(name)?.1.shape)
    }

    /// Bytes that a tensor takes in the file; 0 if it is not there.
    pub fn tensor_bytes(&self, name: &str) -> u64 {
        self.find(name).map_or(0, |(_, info)| {
            (info.data_offsets.1 - info.data_offsets.0) as u64
        })
    }

    /// Reads one tensor onto the device as f32.
    pub fn tensor(&self, name: &str, device: &Device) -> Result<Tensor, CheckpointError> {
        let tensor = self.plain_tensor(name, device)?;
        tensor
            .to_dtype(DType::F32)
            .map_err(|source| CheckpointError::Tensor {
                name: name.to_owned(),
                source,
            })
    }

    /// Reads one tensor onto the device as the file has it: f32, f16 or bf16.
    pub fn plain_tensor(&self, name: &str, device: &Device) -> Result<Tensor, CheckpointError> {
        let (shard, info) = self.find(name).ok_or_else(|| CheckpointError::NoTensor {
            path: self.dir.clone(),
            name: name.to_owned(),
        })?;
        let (start, end) = info.data_offsets;
        let mut bytes = vec![0; end - start];
        let shard = &self.shards[*shard];
        {
            // A poisoned lock guards nothing but a file position, set anew by each read.
            let mut file = shard.file.lock().unwrap_or_else(|e| e.into_inner());
            file.seek(SeekFrom::Start(shard.data_start + start as u64))
                .and_then(|_| file.read_exact(&mut bytes))
                .map_err(|source| CheckpointError::Io {
                    what: "read",
                    path: self.dir.clone(),
                    source,
                })?;
        }
        let dtype = match info.dtype {
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            other => {
                return Err(CheckpointError::Unsupported {
                    path: self.dir.clone(),
                    what: format!("a {other:?} tensor ({name})"),
                });
            }
        };
        Tensor::from_raw_buffer(&bytes, dtype, &info.shape, device).map_err(|source| {
            CheckpointError::Tensor {
                name: name.to_owned(),
                source,
            }
        })
    }

    /// The configuration in config.json, validated.
    pub fn config(&self) -> Result<ModelConfig, CheckpointError> {
        let path = self.dir.join("config.json");
        let architecture = self.config["model_type"].as_str().unwrap_or("").to_owned();
        ModelConfig::check_architecture(&architecture)?;
        self.check_attention(&path)?;
        let invalid = |reason: String| CheckpointError::Config {
            path: path.clone(),
            reason,
        };
        let c = HfConfig::deserialize(&self.config).map_err(|e| invalid(e.to_string()))?;
        // Since version 5, transformers nests the base in `rope_parameters`.
        let nested = self.config["rope_parameters"]["rope_theta"].as_f64();
        let rope_theta = c
            .rope_theta
            .or(nested.map(|theta| theta as f32))
            .ok_or_else(|| invalid("missing field `rope_theta`".into()))?;
        ModelConfig {
            architecture,
            n_layers: c.num_hidden_layers,
            hidden: c.hidden_size,
            n_heads: c.num_attention_heads,
            n_kv_heads: c.num_key_value_heads.unwrap_or(c.num_attention_heads),
            head_dim: match c.head_dim {
                Some(head_dim) => head_dim,
                None => c
                    .hidden_size
                    .checked_div(c.num_attention_heads)
                    .unwrap_or(0),
            },
            ffn: c.intermediate_size,
            vocab: c.vocab_size,
            context_max: c.max_position_embeddings,
            rope_theta,
            rms_eps: c.rms_norm_eps,
            tied_embeddings: c.tie_word_embeddings,
            qkv_bias: self.shape("blk.0.attn_q.bias").is_some(),
            head_norms: false,
        }
        .validated(&path)
    }

    /// Refuses activations, position encodings and masks that the decoder lacks.
    fn check_attention(&self, path: &Path) -> Result<(), CheckpointError> {
        let unsupported = |what: String| CheckpointError::Unsupported {
            path: path.to_owned(),
            what,
        };
        let c = &self.config;
        for key in ["rope_scaling", "rope_parameters"] {
            let kind = c[key]["rope_type"].as_str().or(c[key]["type"].as_str());
            match kind {
                None | Some("default") => {}
                Some(kind) => {
                    return Err(unsupported(format!("RoPE scaling of type {kind:?}")));
                }
            }
        }
        if c["use_sliding_window"] == true {
            return Err(unsupported(format!(
                "a sliding window of {} tokens",
                c["sliding_window"]
            )));
        }
        match c["hidden_act"].as_str() {
            None | Some("silu") => Ok(()),
            Some(act) => Err(unsupported(format!("the activation {act:?}"))),
        }
    }

    fn find(&self, canonical: &str) -> Option<&(usize, TensorInfo)> {
        self.tensors.get(&names::safetensors_name(canonical)?)
    }
}

/// The shards that the index names, or every `*.safetensors` where there is none.
fn shard_files(dir: &Path) -> Result<BTreeSet<PathBuf>, CheckpointError> {
    let index = "model.safetensors.index.json";
    if let Some(index) = read_json(&dir.join(index))? {
        let files = index["weight_map"].as_object().into_iter().flatten();
        // Only the last component counts: an index must not point outside.
        return Ok(files
            .filter_map(|(_, file)| Path::new(file.as_str()?).file_name())
            .map(|file| dir.join(file))
            .collect());
    }
    let entries = std::fs::read_dir(dir).map_err(|source| CheckpointError::Io {
        what: "list",
        path: dir.to_owned(),
        source,
    })?;
    let files: BTreeSet<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "safetensors"))
        .collect();
    if files.is_empty() {
        return Err(CheckpointError::NoFile {
            dir: dir.to_owned(),
            file: "*.safetensors",
        });
    }
    Ok(files)
}

/// Reads a shard's header and checks the file's size against it.
fn open_shard(path: &Path) -> Result<(Shard, Metadata), CheckpointError> {
    let io = |source| CheckpointError::Io {
        what: "read",
        path: path.to_owned(),
        source,
    };
    let damaged = |reason: String| CheckpointError::Damaged {
        path: path.to_owned(),
        reason,
    };
    let mut file = File::open(path).map_err(io)?;
    let have = file.metadata().map_err(io)?.len();
    if have == 0 {
        return Err(CheckpointError::Empty {
            path: path.to_owned(),
        });
    }
    let mut length = [0; 8];
    file.read_exact(&mut length)
        .map_err(|_| damaged("it ends within its header".into()))?;
    let header_bytes = u64::from_le_bytes(length);
    if header_bytes > HEADER_BYTES_MAX {
        return Err(damaged("it does not begin as a safetensors file".into()));
    }
    let data_start = 8 + header_bytes;
    if have < data_start {
        return Err(damaged("it ends within its header".into()));
    }
    let mut header = vec![0; header_bytes as usize];
    file.read_exact(&mut header).map_err(io)?;
    let metadata: Metadata =
        serde_json::from_slice(&header).map_err(|e| damaged(format!("header: {e}")))?;
    let want = data_start + metadata.data_len() as u64;
    if have < want {
        return Err(CheckpointError::Cut {
            path: path.to_owned(),
            have,
            want,
        });
    }
    let shard = Shard {
        file: Mutex::new(file),
        data_start,
    };
    Ok((shard, metadata))
}

fn require_json(dir: &Path, file: &'static str) -> Result<Value, CheckpointError> {
    read_json(&dir.join(file))?.ok_or_else(|| CheckpointError::NoFile {
        dir: dir.to_owned(),
        file,
    })
}

/// Parses a JSON file; `None` if it is not there.
fn read_json(path: &Path) -> Result<Option<Value>, CheckpointError> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(CheckpointError::Io {
                what: "read",
                path: path.to_owned(),
                source,
            });
        }
    };
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|source| CheckpointError::Config {
            path: path.to_owned(),
            reason: format!("not JSON: {source}"),
        })
}
