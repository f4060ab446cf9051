//! A GGUF file: one file with metadata, tokenizer and (quantised) tensors.
use super::CheckpointError;
use super::names::Place;
use candle_core::Device;
use candle_core::quantized::gguf_file::{Content, Value};
use candle_core::quantized::{QStorage, QTensor};
use std::collections::HashSet;
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
