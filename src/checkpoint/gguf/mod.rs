//! A GGUF file: metadata, tokenizer and (quantised) tensors, in one file or in parts.
mod header;
mod preamble;
mod split;
mod value;

pub(super) use value::Value;

use super::CheckpointError;
use super::names::Place;
use super::packed::PackedKey;
use super::stored::{Stored, Weight};
use candle_core::{Device, Tensor};
use egss_kernels::{BlockMatrix, DenseMatrix, GgmlType, MappedBytes, WeightBytes};
use header::{Header, Kind, KnownBytes};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An open GGUF file whose header is read and whose tensors all lie within it, or within
/// the parts that it is the first of.
pub(super) struct GgufFile {
    path: PathBuf,
    /// The other parts, in order.
    others: Vec<PathBuf>,
    /// The first part up to its first tensor.
    header: MappedBytes,
    /// Of the first part, which has the model's.
    metadata: HashMap<String, Value>,
    /// By name.
    tensors: HashMap<String, TensorBytes>,
}

/// A tensor in its part's map.
struct TensorBytes {
    /// Outermost dimension first.
    shape: Vec<usize>,
    kind: Kind,
    bytes: MappedBytes,
}

impl GgufFile {
    /// Reads the header and checks every tensor's extent against the file's size, and so
    /// those of the other parts of a split checkpoint, which lie beside it. Cost: the
    /// headers only (6 MB for a vocabulary of 151,936).
    ///
    /// `known_bytes` tells of a file whose header is cut how long it should be.
    pub fn open(path: &Path, known_bytes: KnownBytes) -> Result<Self, CheckpointError> {
        let (header, bytes) = open_part(path, known_bytes)?;
        let others = split::others(&header, path)?;
        let first_tensor = header.tensors.values().map(|info| info.extent.0).min();
        let header_end = first_tensor.map_or(bytes.len(), |start| start as usize);
        let mut gguf = Self {
            path: path.to_owned(),
            header: bytes.slice(0..header_end),
            others,
            metadata: header.metadata,
            tensors: HashMap::new(),
        };
        gguf.take_tensors(header.tensors, &bytes, path)?;
        let others = gguf.others.clone();
        let n_parts = others.len() + 1;
        for (i, part) in others.iter().enumerate() {
            if !part.exists() {
                return Err(CheckpointError::NoPart {
                    path: path.to_owned(),
                    part: i + 2,
                    parts: n_parts,
                    missing: part.clone(),
                });
            }
            let (header, bytes) = open_part(part, known_bytes)?;
            let (is_part, of_parts) = split::place_of(&header, part)?;
            if (is_part, of_parts) != (i + 2, n_parts) {
                let reason = format!("it is part {is_part} of {of_parts} by its metadata");
                return Err(split::wrong(part, reason));
            }
            gguf.take_tensors(header.tensors, &bytes, part)?;
        }
        match gguf.size("split.tensors.count") {
            Some(said) if n_parts > 1 && said != gguf.tensors.len() => {
                let found = gguf.tensors.len();
                let reason = format!("its parts have {found} tensors of {said}");
                Err(split::wrong(path, reason))
            }
            _ => Ok(gguf),
        }
    }

    fn take_tensors(
        &mut self,
        tensors: HashMap<String, header::TensorInfo>,
        bytes: &MappedBytes,
        path: &Path,
    ) -> Result<(), CheckpointError> {
        for (name, info) in tensors {
            if self.tensors.contains_key(&name) {
                let reason = format!("another part has the tensor {name:?}, too");
                return Err(split::wrong(path, reason));
            }
            let (start, end) = info.extent;
            let tensor = TensorBytes {
                shape: info.shape,
                kind: info.kind,
                // Every extent was held against the file's size.
                bytes: bytes.slice(start as usize..end as usize),
            };
            self.tensors.insert(name, tensor);
        }
        Ok(())
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The key that packed weights of it are kept by.
    pub fn packed_key(&self) -> std::io::Result<PackedKey> {
        let files = std::iter::once(&self.path).chain(&self.others);
        PackedKey::of(files.map(PathBuf::as_path), &self.header)
    }

    /// The shape of a tensor, outermost dimension first; `None` if it is not there.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        Some(&self.tensors.get(name)?.shape)
    }

    /// Bytes that a tensor takes in the file; 0 if it is not there.
    pub fn tensor_bytes(&self, name: &str) -> u64 {
        self.tensors
            .get(name)
            .map_or(0, |tensor| tensor.bytes.len() as u64)
    }

    /// How a tensor's numbers are written; `None` if it is not there, or of an unknown type.
    pub fn stored(&self, name: &str) -> Option<Stored> {
        match self.tensors.get(name)?.kind {
            Kind::Known(kind) => Some(Stored::of(kind)),
            Kind::Unknown(_) => None,
        }
    }

    /// A matrix, or some of its rows: as the file has it, where it can be in the file's
    /// pages; plain numbers that are neither of 16 bits nor f32 as f32.
    pub fn matrix(
        &self,
        place: &Place,
        shape: &[usize],
        device: &Device,
    ) -> Result<Weight, CheckpointError> {
        let (tensor, kind) = self.find(&place.tensor)?;
        match (Stored::of(kind), shape) {
            (Stored::Dense(format), &[n, k]) if device.is_cpu() => {
                let matrix = DenseMatrix::new(format, n, k, place.read(&tensor.bytes));
                Ok(Weight::Dense(Arc::new(matrix)))
            }
            (Stored::Blocks(kind), &[n, k]) => {
                let matrix = BlockMatrix::new(kind, n, k, place.read(&tensor.bytes));
                let matrix = matrix.times(self.factor(place, kind)?);
                Ok(Weight::Blocks(Arc::new(matrix)))
            }
            _ => Ok(Weight::Plain(self.floats(place, shape, device)?)),
        }
    }

    /// Reads one tensor, or some of its rows, onto the device as f32.
    pub fn floats(
        &self,
        place: &Place,
        shape: &[usize],
        device: &Device,
    ) -> Result<Tensor, CheckpointError> {
        let (tensor, kind) = self.find(&place.tensor)?;
        // A vector's rows are single numbers, of which a block has several.
        let by_rows = place.shape.len() > 1;
        let bytes = match by_rows {
            true => place.read(&tensor.bytes),
            false => WeightBytes::Mapped(tensor.bytes.clone()),
        };
        let mut numbers = vec![0f32; bytes.len() / kind.block_bytes() * kind.block()];
        kind.dequantize(&bytes, &mut numbers);
        let factor = self.factor(place, kind)?;
        if factor != 1.0 {
            numbers.iter_mut().for_each(|number| *number *= factor);
        }
        if !by_rows && place.rows.is_some() {
            numbers = place
                .ranges()
                .into_iter()
                .flatten()
                .map(|i| numbers[i])
                .collect();
        }
        Tensor::from_vec(numbers, shape, device).map_err(|source| CheckpointError::Tensor {
            name: place.tensor.clone(),
            source,
        })
    }

    /// The factor of the numbers of a matrix: of NVFP4, whose blocks have scales
    /// of three digits, `NAME.scale` beside `NAME.weight`, a number or one for each expert.
    fn factor(&self, place: &Place, kind: GgmlType) -> Result<f32, CheckpointError> {
        let name = place.tensor.strip_suffix(".weight").unwrap_or_default();
        let name = format!("{name}.scale");
        if kind != GgmlType::NVFP4 || !self.has(&name) {
            return Ok(1.0);
        }
        let (tensor, kind) = self.find(&name)?;
        let mut factors = vec![0f32; tensor.shape.iter().product()];
        kind.dequantize(&tensor.bytes, &mut factors);
        let n_experts = match place.shape.as_slice() {
            [n, _, _] => *n,
            _ => 1,
        };
        match factors.as_slice() {
            [factor] => Ok(*factor),
            factors if factors.len() == n_experts => {
                let first = place.ranges().first().map_or(0, |rows| rows.start);
                Ok(factors[first / (place.n_rows() / n_experts)])
            }
            _ => Err(CheckpointError::Shape {
                path: self.path.clone(),
                name,
                found: tensor.shape.clone(),
                expected: vec![n_experts],
            }),
        }
    }

    /// True for what lies beside an NVFP4 matrix: its factor, and that of the activations
    /// that it was calibrated with, which are not rounded here.
    fn is_factor(&self, name: &str) -> bool {
        let matrix = [".input_scale", ".scale"]
            .iter()
            .find_map(|end| name.strip_suffix(end));
        matrix.is_some_and(|matrix| {
            let tensor = self.tensors.get(&format!("{matrix}.weight"));
            tensor.is_some_and(|tensor| tensor.kind == Kind::Known(GgmlType::NVFP4))
        })
    }

    /// True where the file has the tensor.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Refuses tensors of unknown types, and those that nobody wants, by name: they may
    /// change what the model computes. Those of blocks behind the `n_layers` of the decoder predict tokens
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
        let names = self.tensors.keys().map(String::as_str);
        let others = names
            .filter(|name| !wanted.contains(name) && !is_further(name) && !self.is_factor(name));
        // By name, so that the same file is refused for the same tensor each time.
        if let Some(name) = others.min() {
            return Err(CheckpointError::Unsupported {
                path: self.path.clone(),
                what: format!("the tensor {name:?}"),
            });
        }
        let mut here: Vec<&str> = wanted
            .iter()
            .copied()
            .filter(|name| self.has(name))
            .collect();
        here.sort_unstable();
        here.into_iter()
            .try_for_each(|name| self.find(name).map(drop))
    }

    /// The keys of the metadata, in no order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.metadata.keys().map(String::as_str)
    }

    pub fn value(&self, key: &str) -> Option<&Value> {
        self.metadata.get(key)
    }

    pub fn str(&self, key: &str) -> Option<&str> {
        match self.metadata.get(key)? {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    pub fn bool(&self, key: &str) -> Option<bool> {
        self.metadata.get(key)?.to_bool()
    }

    /// A metadata integer of any width; `None` if absent or negative.
    pub fn size(&self, key: &str) -> Option<usize> {
        self.value(key)?.to_size()
    }

    /// A metadata array; `None` if absent.
    pub fn array(&self, key: &str) -> Option<&[Value]> {
        match self.metadata.get(key)? {
            Value::Array(values) => Some(values),
            _ => None,
        }
    }

    pub fn no_tensor(&self, name: &str) -> CheckpointError {
        CheckpointError::NoTensor {
            path: self.path.clone(),
            name: name.to_owned(),
        }
    }

    /// A tensor and its type.
    fn find(&self, name: &str) -> Result<(&TensorBytes, GgmlType), CheckpointError> {
        let Some(tensor) = self.tensors.get(name) else {
            return Err(self.no_tensor(name));
        };
        match tensor.kind {
            Kind::Known(kind) => Ok((tensor, kind)),
            Kind::Unknown(id) => Err(CheckpointError::TensorType {
                path: self.path.clone(),
                name: name.to_owned(),
                id,
            }),
        }
    }
}

/// Maps a file and reads its header.
fn open_part(
    path: &Path,
    known_bytes: KnownBytes,
) -> Result<(Header, MappedBytes), CheckpointError> {
    let io = |what| {
        move |source| CheckpointError::Io {
            what,
            path: path.to_owned(),
            source,
        }
    };
    let file = File::open(path).map_err(io("open"))?;
    if file.metadata().map_err(io("read"))?.len() == 0 {
        return Err(CheckpointError::Empty {
            path: path.to_owned(),
        });
    }
    let bytes = MappedBytes::open(&file).map_err(io("read"))?;
    preamble::check(&bytes, path)?;
    Ok((Header::read(&bytes, path, known_bytes)?, bytes))
}

/// An integer of any width; `None` where it is negative or something else.
pub(super) fn size_of(value: &Value) -> Option<usize> {
    value.to_size()
}
