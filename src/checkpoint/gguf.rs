//! A GGUF file: one file with metadata, tokenizer and (quantised) tensors.
use super::CheckpointError;
use super::names::Place;
use super::stored::{Stored, Weight};
use candle_core::Device;
use candle_core::quantized::gguf_file::{Content, Value};
use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use egss_kernels::{DenseFormat, DenseMatrix, MappedBytes, WeightBytes};
use std::borrow::Cow;
use std::collections::HashSet;
use std::fs::File;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An open GGUF file whose header is read and whose tensors all lie within it.
pub(super) struct GgufFile {
    path: PathBuf,
    /// The whole file.
    bytes: MappedBytes,
    content: Content,
}

/// What candle asks of the address of a quantised block, bytes; at most what an f32 does.
const BLOCK_ALIGN: usize = align_of::<f32>();

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
        let file = File::open(path).map_err(io("open"))?;
        let file_bytes = file.metadata().map_err(io("read"))?.len();
        if file_bytes == 0 {
            return Err(CheckpointError::Empty {
                path: path.to_owned(),
            });
        }
        let bytes = MappedBytes::open(&file).map_err(io("read"))?;
        check_preamble(&bytes, path)?;
        let content = Content::read(&mut Cursor::new(&*bytes))
            .map_err(|source| header_error(path, file_bytes, &source))?;
        let gguf = Self {
            path: path.to_owned(),
            bytes,
            content,
        };
        let want = gguf.end_of_tensors()?;
        let have = gguf.bytes.len() as u64;
        if have < want {
            return Err(CheckpointError::Cut {
                path: path.to_owned(),
                have,
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

    /// How a tensor's numbers are written; `None` if it is not there.
    pub fn stored(&self, name: &str) -> Option<Stored> {
        Some(match self.content.tensor_infos.get(name)?.ggml_dtype {
            GgmlDType::F32 => Stored::F32,
            GgmlDType::F16 => Stored::Dense(DenseFormat::F16),
            GgmlDType::BF16 => Stored::Dense(DenseFormat::Bf16),
            dtype => Stored::Quantized(dtype),
        })
    }

    /// A matrix, or some of its rows: on a CPU one of 16-bit floats as the file has it,
    /// in the file's pages if it can be; other floats as f32.
    pub fn matrix(
        &self,
        place: &Place,
        shape: &[usize],
        device: &Device,
    ) -> Result<Weight, CheckpointError> {
        match (self.stored(&place.tensor), shape) {
            (Some(Stored::Dense(format)), &[n, k]) if device.is_cpu() => {
                let matrix = DenseMatrix::new(format, n, k, self.read(place)?);
                Ok(Weight::Dense(Arc::new(matrix)))
            }
            (Some(Stored::Quantized(_)), _) => {
                let tensor = self.tensor(place, shape, device)?;
                Ok(Weight::Quantized(Arc::new(tensor)))
            }
            _ => {
                let tensor = self.tensor(place, shape, device)?.dequantize(device);
                let tensor = tensor.map_err(|source| CheckpointError::Tensor {
                    name: place.tensor.clone(),
                    source,
                })?;
                Ok(Weight::Plain(tensor))
            }
        }
    }

    /// Reads one tensor, or some of its rows, onto the device.
    pub fn tensor(
        &self,
        place: &Place,
        shape: &[usize],
        device: &Device,
    ) -> Result<QTensor, CheckpointError> {
        let name = &place.tensor;
        let Some(info) = self.content.tensor_infos.get(name) else {
            return Err(self.no_tensor(name));
        };
        let bytes = self.read(place)?.aligned(BLOCK_ALIGN);
        QStorage::from_data(Cow::Borrowed(&*bytes), device, info.ggml_dtype)
            .and_then(|storage| QTensor::new(storage, shape))
            .map_err(|source| CheckpointError::Tensor {
                name: name.to_owned(),
                source,
            })
    }

    /// True where the file has the tensor.
    pub fn has(&self, name: &str) -> bool {
        self.content.tensor_infos.contains_key(name)
    }

    /// Refuses tensors that nobody wants, by name: they may change what the model
    /// computes. Those of blocks behind the `n_layers` of the decoder predict tokens
    /// further ahead (NextN), from which the others take nothing.
    pub fn refuse_others(
        &self,
        wanted: &HashSet<&str>,
        n_layers: usize,
    ) -> Result<(), CheckpointError> {
        let architecture = self.str("general.architecture").unwrap_or_default();
        let n_blocks = self.size(&format!("{architecture}.block_count"));
        let n_blocks = n_blocks.unwrap_or(n_layers);
        let is_further = |name: &str| {
            let layer = name
                .strip_prefix("blk.")
                .and_then(|name| name.split('.').next());
            let layer = layer.and_then(|layer| layer.parse().ok());
            layer.is_some_and(|layer| (n_layers..n_blocks).contains(&layer))
        };
        let names = self.content.tensor_infos.keys().map(String::as_str);
        let others = names.filter(|name| !wanted.contains(name) && !is_further(name));
        // By name, so that the same file is refused for the same tensor each time.
        match others.min() {
            None => Ok(()),
            Some(name) => Err(CheckpointError::Unsupported {
                path: self.path.clone(),
                what: format!("the tensor {name:?}"),
            }),
        }
    }

    /// Refuses one of several files that a checkpoint is split over.
    pub fn refuse_split(&self) -> Result<(), CheckpointError> {
        match self.size("split.count") {
            Some(files) if files > 1 => Err(CheckpointError::Unsupported {
                path: self.path.clone(),
                what: format!("weights split over {files} files"),
            }),
            _ => Ok(()),
        }
    }

    /// The keys of the metadata, in no order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.content.metadata.keys().map(String::as_str)
    }

    pub fn value(&self, key: &str) -> Option<&Value> {
        self.content.metadata.get(key)
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
        size_of(self.value(key)?)
    }

    /// A metadata array; `None` if absent.
    pub fn array(&self, key: &str) -> Option<&[Value]> {
        Some(self.content.metadata.get(key)?.to_vec().ok()?)
    }

    pub fn no_tensor(&self, name: &str) -> CheckpointError {
        CheckpointError::NoTensor {
            path: self.path.clone(),
            name: name.to_owned(),
        }
    }

    /// The bytes of a tensor's wanted rows.
    fn read(&self, place: &Place) -> Result<WeightBytes, CheckpointError> {
        // Every extent was held against the file's size when it was opened.
        match self.extent(&place.tensor) {
            Some((start, end)) => Ok(place.read(&self.bytes.slice(start as usize..end as usize))),
            None => Err(self.no_tensor(&place.tensor)),
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

/// An integer of any width; `None` where it is negative or something else.
pub(super) fn size_of(value: &Value) -> Option<usize> {
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

/// Checks magic and version, which say in a sentence what candle's reader says in hex.
fn check_preamble(file: &[u8], path: &Path) -> Result<(), CheckpointError> {
    if !file.starts_with(b"GGUF") {
        return Err(CheckpointError::NotGguf {
            path: path.to_owned(),
        });
    }
    let Some(version) = file.get(4..8) else {
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
