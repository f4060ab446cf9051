//! A GGUF file: one file with metadata, tokenizer and (quantised) tensors.
use super::config::{RopeScaling, Rotary};
use super::names::Place;
use super::{CheckpointError, ModelConfig};
use candle_core::Device;
use candle_core::quantized::gguf_file::{Content, Value};
use candle_core::quantized::{QStorage, QTensor};
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// An open GGUF file whose header is read and whose tensors all lie within it.
pub(super) struct GgufFile {
    path: PathBuf,
    /// Behind a lock because reading a tensor moves the file's position.
    file: Mutex<File>,
    content: Content,
}

impl GgufFile {
    /// Reads the header and checks every tensor's extent against the file's
    /// size. Cost: the header only (6 MB for a vocabulary of 151,936).
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let io = |what| {
            move |source| CheckpointError::Io {
                what,
                path: path.to_owned(),
                source,
            }
        };
        let mut file = File::open(path).map_err(io("open"))?;
        let file_bytes = file.metadata().map_err(io("read"))?.len();
        if file_bytes == 0 {
            return Err(CheckpointError::Empty {
                path: path.to_owned(),
            });
        }
        check_preamble(&mut file, path)?;
        file.seek(SeekFrom::Start(0)).map_err(io("read"))?;
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let content =
            Content::read(&mut reader).map_err(|source| header_error(path, file_bytes, &source))?;
        let gguf = Self {
            path: path.to_owned(),
            file: Mutex::new(reader.into_inner()),
            content,
        };
        let want = gguf.end_of_tensors()?;
        if file_bytes < want {
            return Err(CheckpointError::Cut {
                path: path.to_owned(),
                have: file_bytes,
                want,
            });
        }
        Ok(gguf)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The shape of a tensor, outermost dimension first; `None` if it is not there.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        Some(self.content.tensor_infos.get(name)?.shape.dims())
    }

    /// Bytes that a tensor takes in the file; 0 if it is not there.
    pub fn tensor_bytes(&self, name: &str) -> u64 {
        self.extent(name).map_or(0, |(start, end)| end - start)
    }

    /// Reads one tensor, or some of its rows, onto the device.
    pub fn tensor(
        &self,
        place: &Place,
        shape: &[usize],
        device: &Device,
    ) -> Result<QTensor, CheckpointError> {
        let name = &place.tensor;
        let (Some(info), Some((start, end))) =
            (self.content.tensor_infos.get(name), self.extent(name))
        else {
            return Err(self.no_tensor(name));
        };
        let bytes = place.read(&self.file, start, (end - start) as usize);
        let bytes = bytes.map_err(|source| CheckpointError::Io {
            what: "read",
            path: self.path.clone(),
            source,
        })?;
        QStorage::from_data(bytes.into(), device, info.ggml_dtype)
            .and_then(|storage| QTensor::new(storage, shape))
            .map_err(|source| CheckpointError::Tensor {
                name: name.to_owned(),
                source,
            })
    }

    /// What the metadata of all families says alike: a dense decoder with grouped
    /// queries and neither biases nor norms of its own.
    pub fn common_config(&self) -> Result<ModelConfig, CheckpointError> {
        let architecture = self.require_str("general.architecture")?.to_owned();
        self.check_attention(&architecture)?;
        let size = |key: &str| self.require_own_size(key);
        let real = |key: &str| self.require_f32(&format!("{architecture}.{key}"));
        let hidden = size("embedding_length")?;
        let n_heads = size("attention.head_count")?;
        let head_dim = match self.own_size("attention.key_length") {
            Some(head_dim) => head_dim,
            None => hidden.checked_div(n_heads).unwrap_or(0),
        };
        Ok(ModelConfig {
            n_layers: size("block_count")?,
            hidden,
            n_heads,
            n_kv_heads: self.own_size("attention.head_count_kv").unwrap_or(n_heads),
            head_dim,
            ffn: size("feed_forward_length")?,
            vocab: match self.shape("token_embd.weight") {
                Some(shape) => shape[0],
                None => return Err(self.no_tensor("token_embd.weight")),
            },
            context_max: size("context_length")?,
            rotary: Rotary {
                dims: self.own_size("rope.dimension_count").unwrap_or(head_dim),
                theta: real("rope.freq_base")?,
                interleaved: false,
                scaling: RopeScaling::None,
            },
            rms_eps: real("attention.layer_norm_rms_epsilon")?,
            tied_embeddings: self.shape("output.weight").is_none(),
            qkv_bias: false,
            head_norms: false,
            post_norms: false,
            fused_gate_up: false,
            experts: None,
            latent: None,
            architecture,
        })
    }

    /// Refuses a file that has a tensor which says `what`.
    pub fn refuse_tensor(&self, name: &str, what: &str) -> Result<(), CheckpointError> {
        match self.shape(name) {
            None => Ok(()),
            Some(_) => Err(CheckpointError::Unsupported {
                path: self.path.clone(),
                what: format!("{what} ({name})"),
            }),
        }
    }

    /// A number under the architecture's own name.
    pub fn own_size(&self, key: &str) -> Option<usize> {
        let architecture = self.str("general.architecture")?;
        self.size(&format!("{architecture}.{key}"))
    }

    pub fn require_own_size(&self, key: &str) -> Result<usize, CheckpointError> {
        let architecture = self.require_str("general.architecture")?;
        self.require_size(&format!("{architecture}.{key}"))
    }

    /// Refuses position encodings and attention masks that the decoder lacks.
    fn check_attention(&self, architecture: &str) -> Result<(), CheckpointError> {
        let unsupported = |what: String| CheckpointError::Unsupported {
            path: self.path.clone(),
            what,
        };
        if let Some(kind) = self.str(&format!("{architecture}.rope.scaling.type"))
            && kind != "none"
        {
            return Err(unsupported(format!("RoPE scaling of type {kind:?}")));
        }
        match self.size(&format!("{architecture}.attention.sliding_window")) {
            Some(window) if window > 0 => {
                Err(unsupported(format!("a sliding window of {window} tokens")))
            }
            _ => Ok(()),
        }
    }

    pub fn str(&self, key: &str) -> Option<&str> {
        match self.content.metadata.get(key)? {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    pub fn bool(&self, key: &str) -> Option<bool> {
        self.content.metadata.get(key)?.to_bool().ok()
    }

    /// A metadata integer of any width; `None` if absent or negative.
    pub fn size(&self, key: &str) -> Option<usize> {
        let value = self.content.metadata.get(key)?;
        let wide = match value {
            Value::Bool(_) => return None,
            Value::I8(v) => u64::try_from(*v).ok()?,
            Value::I16(v) => u64::try_from(*v).ok()?,
            Value::I32(v) => u64::try_from(*v).ok()?,
            Value::I64(v) => u64::try_from(*v).ok()?,
            other => other.to_u64().ok()?,
        };
        usize::try_from(wide).ok()
    }

    /// A metadata array; `None` if absent.
    pub fn array(&self, key: &str) -> Option<&[Value]> {
        Some(self.content.metadata.get(key)?.to_vec().ok()?)
    }

    pub fn require_str(&self, key: &str) -> Result<&str, CheckpointError> {
        self.str(key).ok_or_else(|| self.no_key(key))
    }

    fn require_size(&self, key: &str) -> Result<usize, CheckpointError> {
        self.size(key).ok_or_else(|| self.no_key(key))
    }

    fn require_f32(&self, key: &str) -> Result<f32, CheckpointError> {
        match self.content.metadata.get(key) {
            Some(Value::F32(v)) => Ok(*v),
            Some(Value::F64(v)) => Ok(*v as f32),
            _ => Err(self.no_key(key)),
        }
    }

    fn no_key(&self, key: &str) -> CheckpointError {
        CheckpointError::Config {
            path: self.path.clone(),
            reason: format!("the metadata has no usable {key:?}"),
        }
    }

    pub fn no_tensor(&self, name: &str) -> CheckpointError {
        CheckpointError::NoTensor {
            path: self.path.clone(),
            name: name.to_owned(),
        }
    }

    /// `[start, end)` of a tensor in the file; `None` if absent or overflowing.
    fn extent(&self, name: &str) -> Option<(u64, u64)> {
        let info = self.content.tensor_infos.get(name)?;
        let elements = info
            .shape
            .dims()
            .iter()
            .try_fold(1u64, |product, &dim| product.checked_mul(dim as u64))?;
        let block = info.ggml_dtype.block_size() as u64;
        let bytes = elements
            .div_ceil(block)
            .checked_mul(info.ggml_dtype.type_size() as u64)?;
        let start = self.content.tensor_data_offset.checked_add(info.offset)?;
        Some((start, start.checked_add(bytes)?))
    }

    /// Where the last tensor ends in the file, bytes.
    fn end_of_tensors(&self) -> Result<u64, CheckpointError> {
        let mut last = 0;
        for name in self.content.tensor_infos.keys() {
            let Some((_, end)) = self.extent(name) else {
                return Err(CheckpointError::Damaged {
                    path: self.path.clone(),
                    reason: format!("tensor {name:?} is larger than any file"),
                });
            };
            last = last.max(end);
        }
        Ok(last)
    }
}

/// Checks magic and version, which say in a sentence what candle's reader says in hex.
fn check_preamble(file: &mut File, path: &Path) -> Result<(), CheckpointError> {
    let mut preamble = Vec::with_capacity(8);
    file.take(8)
        .read_to_end(&mut preamble)
        .map_err(|source| CheckpointError::Io {
            what: "read",
            path: path.to_owned(),
            source,
        })?;
    if !preamble.starts_with(b"GGUF") {
        return Err(CheckpointError::NotGguf {
            path: path.to_owned(),
        });
    }
    let Some(version) = preamble.get(4..8) else {
        return Err(CheckpointError::Damaged {
            path: path.to_owned(),
            reason: "it ends within the GGUF header".into(),
        });
    };
    let found = u32::from_le_bytes(version.try_into().expect("four bytes"));
    if (2..=3).contains(&found) {
        Ok(())
    } else {
        Err(CheckpointError::GgufVersion {
            path: path.to_owned(),
            found,
        })
    }
}

/// A header that candle cannot read: its own words, behind ours.
fn header_error(path: &Path, file_bytes: u64, source: &candle_core::Error) -> CheckpointError {
    // Within a cut header the file's whole size cannot be read; a file that a
    // manifest knows by name still has one.
    let want = super::manifest::known_bytes(path).filter(|&want| file_bytes < want);
    if let Some(want) = want {
        return CheckpointError::Cut {
            path: path.to_owned(),
            have: file_bytes,
            want,
        };
    }
    let source = source.to_string();
    // Backtraces follow the first line where they are enabled.
    let first_line = source.lines().next().unwrap_or_default();
    CheckpointError::Damaged {
        path: path.to_owned(),
        reason: format!(
            "its header cannot be read to the end of the {} bytes that are there ({})",
            super::error::Grouped(file_bytes),
            first_line.trim_start_matches("gguf: ")
        ),
    }
}
