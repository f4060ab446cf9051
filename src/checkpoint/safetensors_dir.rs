//! A directory as published for the `transformers` package: config.json,
//! `*.safetensors` (one, or several with an index), tokenizer.json.
use super::encoded::{self, Encoded};
use super::json::read_json;
use super::names::Place;
use super::stored::{Stored, Weight};
use super::{CheckpointError, ModelConfig, families, folder, quantised};
use candle_core::{DType, Device, Tensor};
use egss_kernels::MappedBytes;
use safetensors::tensor::{Metadata, TensorInfo};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};

/// Headers above this are no safetensors (the format's own limit).
const HEADER_BYTES_MAX: u64 = 100_000_000;

/// An open checkpoint directory whose headers are read and whose tensors all
/// lie within their files.
pub(super) struct SafetensorsDir {
    dir: PathBuf,
    /// config.json as it stands.
    config: Value,
    /// By their names in the files, those of scales left out.
    tensors: HashMap<String, Encoded>,
    /// Why other tensors cannot be read, by their names.
    faults: HashMap<String, CheckpointError>,
    /// Sentences on files that are not read.
    notes: Vec<String>,
}

impl SafetensorsDir {
    /// Reads config.json and the headers of all shards.
    pub fn open(dir: &Path) -> Result<Self, CheckpointError> {
        let config = require_json(dir, "config.json")?;
        let files = folder::weight_files(dir, &config)?;
        let mut notes = files.notes;
        let mut raw = HashMap::new();
        let mut twice = BTreeSet::new();
        for file in files.names {
            let (metadata, data) = open_shard(&dir.join(file))?;
            for (name, info) in metadata.tensors() {
                let (start, end) = info.data_offsets;
                let tensor = (info.clone(), data.slice(start..end));
                if raw.insert(name.clone(), tensor).is_some() {
                    twice.insert(name);
                }
            }
        }
        if let Some(name) = twice.first() {
            notes.push(format!(
                "of {} tensors that two files have ({name} is one) the later file's are taken",
                twice.len()
            ));
        }
        add_prefix(&mut raw);
        let path = dir.join("config.json");
        let block = quantised::check_config(&path, &config)?;
        quantised::check_names(&path, raw.keys().map(String::as_str))?;
        let (tensors, faults) = encoded::join(dir, raw, block);
        quantised::check_left(&path, tensors.keys().map(String::as_str))?;
        Ok(Self {
            dir: dir.to_owned(),
            config,
            tensors,
            faults,
            notes,
        })
    }

    /// Ties the head to the embedding or not: a head that the files have beside it holds,
    /// whatever config.json says, and one of the two stands for both (transformers'
    /// `tie_weights`).
    fn tie(&mut self, config: &mut ModelConfig, notes: &mut Vec<String>) {
        const HEAD: &str = "lm_head.weight";
        const EMBEDDING: &str = "model.embed_tokens.weight";
        if !config.tied_embeddings {
            return;
        }
        match (self.tensors.get(EMBEDDING), self.tensors.get(HEAD)) {
            (None, Some(_)) => {
                let head = self.tensors.remove(HEAD).expect("it is there");
                self.tensors.insert(EMBEDDING.to_owned(), head);
            }
            (Some(embedding), Some(head)) if !embedding.is_same(head) => {
                config.tied_embeddings = false;
                notes.push(format!(
                    "config.json: tie_word_embeddings does not hold, since {HEAD} differs from {EMBEDDING}: each is taken for itself"
                ));
            }
            _ => {}
        }
    }

    /// A sentence on the tensors that are not `wanted` by a decoder of `n_layers`, if there
    /// are any beside those that nobody misses: what is computed anew, what belongs to
    /// another tensor, layers that predict tokens further ahead.
    pub fn note_others(&self, wanted: &HashSet<&str>, n_layers: usize) -> Option<String> {
        let further = self.config["num_nextn_predict_layers"]
            .as_u64()
            .unwrap_or(0) as usize;
        let is_further = |name: &str| {
            let layer = name.strip_prefix("model.layers.")?.split('.').next()?;
            let layer = layer.parse::<usize>().ok()?;
            Some((n_layers..n_layers + further).contains(&layer))
        };
        // Scales of a cache of fewer bits than ours.
        let of_cache = [
            ".k_scale",
            ".v_scale",
            ".q_scale",
            ".kv_scale",
            ".act_scale",
        ];
        let is_missed = |name: &str| {
            !wanted.contains(name)
                && !name.ends_with("rotary_emb.inv_freq")
                && name != "lm_head.weight"
                && !of_cache.iter().any(|end| name.ends_with(end))
                && !is_further(name).unwrap_or(false)
        };
        let others: BTreeSet<&str> = self.tensors.keys().map(String::as_str).collect();
        let others: Vec<&str> = others.into_iter().filter(|name| is_missed(name)).collect();
        let first = others.first()?;
        Some(format!(
            "{} tensors are not known and not taken, {first} the first of them",
            others.len()
        ))
    }

    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Refuses a tensor that is there and cannot be read.
    pub fn check(&mut self, tensor: &str) -> Result<(), CheckpointError> {
        match (self.faults.remove(tensor), self.tensors.get(tensor)) {
            (Some(fault), _) => Err(fault),
            (None, Some(encoded)) => encoded.check(&self.dir, tensor),
            (None, None) => Ok(()),
        }
    }

    /// A JSON file of the directory; `None` if it is not there.
    pub fn json(&self, file: &str) -> Result<Option<Value>, CheckpointError> {
        read_json(&self.dir.join(file))
    }

    /// config.json.
    pub fn config_json(&self) -> &Value {
        &self.config
    }

    /// The shape of a tensor by the files' own name; `None` if it is not there.
    pub fn shape(&self, tensor: &str) -> Option<&[usize]> {
        Some(self.tensors.get(tensor)?.shape())
    }

    /// Bytes that a tensor takes in the files; 0 if it is not there.
    pub fn tensor_bytes(&self, tensor: &str) -> u64 {
        self.tensors.get(tensor).map_or(0, Encoded::bytes)
    }

    /// How a tensor's numbers are written; `None` if it is not there, or otherwise than
    /// this program reads.
    pub fn stored(&self, tensor: &str) -> Option<Stored> {
        self.tensors.get(tensor)?.stored()
    }

    /// A matrix, or some of its rows: on a CPU as the file has it, in the file's pages if
    /// it can be.
    pub fn matrix(
        &self,
        place: &Place,
        shape: &[usize],
        device: &Device,
    ) -> Result<Weight, CheckpointError> {
        self.find(place)?.matrix(&self.dir, place, shape, device)
    }

    /// Reads one tensor, or some of its rows, onto the device as f32.
    pub fn tensor(
        &self,
        place: &Place,
        shape: &[usize],
        device: &Device,
    ) -> Result<Tensor, CheckpointError> {
        let tensor = self.find(place)?.tensor(&self.dir, place, shape, device)?;
        tensor
            .to_dtype(DType::F32)
            .map_err(|source| CheckpointError::Tensor {
                name: place.tensor.clone(),
                source,
            })
    }

    fn find(&self, place: &Place) -> Result<&Encoded, CheckpointError> {
        let found = self.tensors.get(&place.tensor);
        found.ok_or_else(|| CheckpointError::NoTensor {
            path: self.dir.clone(),
            name: place.tensor.clone(),
        })
    }

    /// The configuration in config.json, validated, and sentences on all that is not taken.
    pub fn config(&mut self) -> Result<families::Noted, CheckpointError> {
        let path = self.dir.join("config.json");
        let (mut config, mut notes) = families::from_json(&path, &self.config)?;
        self.tie(&mut config, &mut notes);
        notes.append(&mut self.notes);
        notes.extend(self.sampling_note()?);
        Ok((config, notes))
    }

    /// A sentence on what generation_config.json says beside the tokens that end a text.
    fn sampling_note(&self) -> Result<Option<String>, CheckpointError> {
        const IGNORED: [&str; 3] = ["transformers_version", "_from_model_config", "use_cache"];
        let generation = self.json("generation_config.json")?.unwrap_or_default();
        let fields = generation.as_object().into_iter().flatten();
        let asked: Vec<&str> = fields
            .filter(|(_, value)| !value.is_null() && **value != Value::Bool(false))
            .map(|(name, _)| name.as_str())
            .filter(|name| !IGNORED.contains(name) && !name.ends_with("_token_id"))
            .collect();
        Ok((!asked.is_empty()).then(|| {
            format!(
                "generation_config.json: {} are not taken; sampling is as the command says",
                asked.join(", ")
            )
        }))
    }
}

/// Names a decoder's tensors as the whole model's, where they were saved without its head
/// and so without its prefix.
fn add_prefix(tensors: &mut HashMap<String, (TensorInfo, MappedBytes)>) {
    let starts = ["embed_tokens.", "layers.", "norm."];
    let bare = |name: &String| starts.iter().any(|start| name.starts_with(start));
    let names: Vec<String> = tensors.keys().filter(|n| bare(n)).cloned().collect();
    for name in names {
        let full = format!("model.{name}");
        if let Some(tensor) = tensors.remove(&name) {
            tensors.entry(full).or_insert(tensor);
        }
    }
}

/// Maps a shard, reads its header, and checks the file's size against it: the tensors'
/// offsets, which the format's own reader has found to be without gaps and of the
/// tensors' sizes, lie in the bytes that come with it.
fn open_shard(path: &Path) -> Result<(Metadata, MappedBytes), CheckpointError> {
    let io = |source| CheckpointError::Io {
        what: "read",
        path: path.to_owned(),
        source,
    };
    let damaged = |reason: String| CheckpointError::Damaged {
        path: path.to_owned(),
        reason,
    };
    let file = File::open(path).map_err(io)?;
    if file.metadata().map_err(io)?.len() == 0 {
        return Err(CheckpointError::Empty {
            path: path.to_owned(),
        });
    }
    let map = MappedBytes::open(&file).map_err(io)?;
    let Some(length) = map.first_chunk::<8>() else {
        return Err(damaged("it ends within its header".into()));
    };
    let header_bytes = u64::from_le_bytes(*length);
    if header_bytes > HEADER_BYTES_MAX {
        return Err(damaged("it does not begin as a safetensors file".into()));
    }
    let data_start = 8 + header_bytes as usize;
    let Some(header) = map.get(8..data_start) else {
        return Err(damaged("it ends within its header".into()));
    };
    let metadata: Metadata =
        serde_json::from_slice(header).map_err(|e| damaged(format!("header: {e}")))?;
    let data = map.slice(data_start..map.len());
    if data.len() < metadata.data_len() {
        return Err(CheckpointError::Cut {
            path: path.to_owned(),
            have: map.len() as u64,
            want: data_start as u64 + metadata.data_len() as u64,
        });
    }
    Ok((metadata, data))
}

fn require_json(dir: &Path, file: &'static str) -> Result<Value, CheckpointError> {
    read_json(&dir.join(file))?.ok_or_else(|| CheckpointError::NoFile {
        dir: dir.to_owned(),
        file,
    })
}
