//! A directory as published for the `transformers` package: config.json,
//! `*.safetensors` (one, or several with an index), tokenizer.json.
use super::names::Place;
use super::stored::{Stored, Weight};
use super::{CheckpointError, ModelConfig, families, quantised};
use candle_core::{DType, Device, Tensor};
use egss_kernels::{DenseFormat, DenseMatrix, MappedBytes, WeightBytes};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Headers above this are no safetensors (the format's own limit).
const HEADER_BYTES_MAX: u64 = 100_000_000;

/// An open checkpoint directory whose headers are read and whose tensors all
/// lie within their files.
pub(super) struct SafetensorsDir {
    dir: PathBuf,
    /// config.json as it stands.
    config: Value,
    /// Safetensors name -> what it is, and its bytes in the map of its shard.
    tensors: HashMap<String, (TensorInfo, MappedBytes)>,
}

impl SafetensorsDir {
    /// Reads config.json and the headers of all shards.
    pub fn open(dir: &Path) -> Result<Self, CheckpointError> {
        let config = require_json(dir, "config.json")?;
        let files = shard_files(dir)?;
        let mut open = Self {
            dir: dir.to_owned(),
            config,
            tensors: HashMap::new(),
        };
        for path in files {
            let (metadata, data) = open_shard(&path)?;
            for (name, info) in metadata.tensors() {
                let (start, end) = info.data_offsets;
                let bytes = data.slice(start..end);
                open.tensors.insert(name, (info.clone(), bytes));
            }
        }
        let names = open.tensors.keys().map(String::as_str);
        quantised::check(&dir.join("config.json"), &open.config, names)?;
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

    /// The shape of a tensor by the files' own name; `None` if it is not there.
    pub fn shape(&self, tensor: &str) -> Option<&[usize]> {
        Some(&self.tensors.get(tensor)?.0.shape)
    }

    /// Bytes that a tensor takes in the file; 0 if it is not there.
    pub fn tensor_bytes(&self, tensor: &str) -> u64 {
        let tensor = self.tensors.get(tensor);
        tensor.map_or(0, |(_, bytes)| bytes.len() as u64)
    }

    /// How a tensor's numbers are written; `None` if it is not there, or otherwise than
    /// this program reads.
    pub fn stored(&self, tensor: &str) -> Option<Stored> {
        match self.tensors.get(tensor)?.0.dtype {
            Dtype::F32 => Some(Stored::F32),
            Dtype::F16 => Some(Stored::Dense(DenseFormat::F16)),
            Dtype::BF16 => Some(Stored::Dense(DenseFormat::Bf16)),
            Dtype::F8_E4M3 => Some(Stored::Fp8),
            _ => None,
        }
    }

    /// A matrix, or some of its rows: on a CPU one of 16-bit floats as the file has it,
    /// in the file's pages if it can be; else as [`Self::plain_tensor`] gives it.
    pub fn matrix(
        &self,
        place: &Place,
        shape: &[usize],
        device: &Device,
    ) -> Result<Weight, CheckpointError> {
        match (self.stored(&place.tensor), shape) {
            (Some(Stored::Dense(format)), &[n, k]) if device.is_cpu() => {
                let (_, bytes) = self.find(place)?;
                let matrix = DenseMatrix::new(format, n, k, bytes);
                Ok(Weight::Dense(Arc::new(matrix)))
            }
            _ => Ok(Weight::Plain(self.plain_tensor(place, shape, device)?)),
        }
    }

    /// Reads one tensor, or some of its rows, onto the device as f32.
    pub fn tensor(
        &self,
        place: &Place,
        shape: &[usize],
        device: &Device,
    ) -> Result<Tensor, CheckpointError> {
        let tensor = self.plain_tensor(place, shape, device)?;
        tensor
            .to_dtype(DType::F32)
            .map_err(|source| CheckpointError::Tensor {
                name: place.tensor.clone(),
                source,
            })
    }

    /// Reads one tensor, or some of its rows, onto the device as the file has it: f32,
    /// f16 or bf16. FP8 becomes f32, each number times its block's scale.
    fn plain_tensor(
        &self,
        place: &Place,
        shape: &[usize],
        device: &Device,
    ) -> Result<Tensor, CheckpointError> {
        let name = &place.tensor;
        let (info, bytes) = self.find(place)?;
        let dtype = match info.dtype {
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            Dtype::F8_E4M3 => {
                return self.scaled(place, &bytes, shape, device);
            }
            other => {
                return Err(CheckpointError::Unsupported {
                    path: self.dir.clone(),
                    what: format!("a {other:?} tensor ({name})"),
                });
            }
        };
        Tensor::from_raw_buffer(&bytes, dtype, shape, device).map_err(|source| {
            CheckpointError::Tensor {
                name: name.to_owned(),
                source,
            }
        })
    }

    /// What a tensor is, and the bytes of its wanted rows.
    fn find(&self, place: &Place) -> Result<(&TensorInfo, WeightBytes), CheckpointError> {
        match self.tensors.get(&place.tensor) {
            Some((info, bytes)) => Ok((info, place.read(bytes))),
            None => Err(CheckpointError::NoTensor {
                path: self.dir.clone(),
                name: place.tensor.clone(),
            }),
        }
    }

    /// FP8 numbers times their scales: one scale for each block of rows and
    /// columns (DeepSeek-V3, arXiv 2412.19437, section 3.3).
    fn scaled(
        &self,
        place: &Place,
        bytes: &[u8],
        shape: &[usize],
        device: &Device,
    ) -> Result<Tensor, CheckpointError> {
        let name = &place.tensor;
        let of_tensor = |source| CheckpointError::Tensor {
            name: name.to_owned(),
            source,
        };
        let unsupported = |what: String| CheckpointError::Unsupported {
            path: self.dir.clone(),
            what,
        };
        let block = self.config["quantization_config"]["weight_block_size"].as_array();
        let block: Option<Vec<u64>> =
            block.and_then(|sizes| sizes.iter().map(Value::as_u64).collect());
        let (Some([rows, columns]), [_, n_columns]) = (block.as_deref(), shape) else {
            return Err(unsupported(format!(
                "an FP8 tensor without blocks of scales ({name})"
            )));
        };
        let (block_rows, block_columns) = (*rows as usize, *columns as usize);
        if block_rows == 0 || block_columns == 0 {
            return Err(unsupported("blocks of no weights".into()));
        }
        let scales_name = format!("{name}_scale_inv");
        let (n_scale_rows, n_scale_columns) = (
            place.n_rows().div_ceil(block_rows),
            n_columns.div_ceil(block_columns),
        );
        match self.shape(&scales_name) {
            Some([a, b]) if (*a, *b) == (n_scale_rows, n_scale_columns) => {}
            _ => {
                return Err(CheckpointError::NoTensor {
                    path: self.dir.clone(),
                    name: scales_name,
                });
            }
        }
        let shape_of_scales = [n_scale_rows, n_scale_columns];
        let scales = Place::whole(scales_name, &shape_of_scales);
        let scales = self.tensor(&scales, &shape_of_scales, &Device::Cpu)?;
        let scales = scales.to_vec2::<f32>().map_err(of_tensor)?;
        let rows = place.ranges().into_iter();
        let mut values = Vec::with_capacity(bytes.len());
        for (row, bytes) in rows.flatten().zip(bytes.chunks_exact(*n_columns)) {
            let scales = &scales[row / block_rows];
            let scaled =
                |(column, &byte): (usize, &u8)| e4m3(byte) * scales[column / block_columns];
            values.extend(bytes.iter().enumerate().map(scaled));
        }
        Tensor::from_vec(values, shape, device).map_err(of_tensor)
    }

    /// The configuration in config.json, validated.
    pub fn config(&self) -> Result<ModelConfig, CheckpointError> {
        families::from_json(&self.dir.join("config.json"), &self.config)
    }
}

/// A number of FP8's E4M3 (arXiv 2209.05433): no infinities, NaN by all ones.
fn e4m3(byte: u8) -> f32 {
    let (exponent, mantissa) = (i32::from(byte >> 3 & 15), f32::from(byte & 7));
    let size = match (exponent, byte & 7) {
        (15, 7) => f32::NAN,
        (0, _) => mantissa * 2f32.powi(-9),
        _ => (8.0 + mantissa) * 2f32.powi(exponent - 10),
    };
    if byte & 128 == 0 { size } else { -size }
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
