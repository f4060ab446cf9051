//! A safetensors tensor with what belongs to it: numbers as they are, or codes and the
//! tensors that hold their scales.
//!
//! Which is which is told by names and types alone, since several tools write the same
//! numbers under other names. Of a weight `X.weight`:
//!
//! | numbers | tensor | scales | of the whole |
//! |---|---|---|---|
//! | E4M3 | `X.weight` | `X.weight_scale_inv` or `X.weight_scale` | |
//! | NVFP4 (ModelOpt) | `X.weight`, u8 | `X.weight_scale`, E4M3 | times `X.weight_scale_2` |
//! | NVFP4 (compressed-tensors) | `X.weight_packed`, u8 | `X.weight_scale`, E4M3 | over `X.weight_global_scale` |
//! | MXFP4 | `X.weight` or `X.weight_packed`, u8 | `X.weight_scale`, u8 | |
use super::CheckpointError;
use super::names::Place;
use super::stored::{Stored, Weight};
use candle_core::{DType, Device, Tensor};
use egss_kernels::{
    BlockMatrix, BlockScales, DenseFormat, DenseMatrix, GgmlType, Inline, MappedBytes,
};
use safetensors::tensor::{Dtype, TensorInfo};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

/// A tensor as the file has it.
type Raw = (TensorInfo, MappedBytes);

/// A tensor that stands for numbers.
pub(super) struct Encoded {
    /// Of the numbers.
    shape: Vec<usize>,
    /// Numbers or codes.
    bytes: MappedBytes,
    encoding: Encoding,
}

enum Encoding {
    /// Numbers as they are.
    Plain(Dtype),
    /// E4M3, with a scale for each block of this many rows and columns.
    E4m3 { scales: Raw, block: [usize; 2] },
    /// 4 bits in pairs, with a byte of scale for some columns of a row and perhaps a factor
    /// of all numbers.
    Pairs {
        kind: GgmlType,
        scales: MappedBytes,
        factor: f32,
    },
}

/// Joins the tensors of a checkpoint's files with what belongs to them, by name. `block`:
/// rows and columns that share a scale of E4M3, where config.json says.
pub(super) fn join(
    path: &Path,
    mut raw: HashMap<String, Raw>,
    block: Option<[usize; 2]>,
) -> Result<HashMap<String, Encoded>, CheckpointError> {
    // By name, so that the same files are refused for the same tensor each time.
    let names: BTreeSet<String> = raw.keys().cloned().collect();
    let mut joined = HashMap::new();
    for name in &names {
        let weight = name.strip_suffix("_packed").unwrap_or(name);
        let Some(module) = weight.strip_suffix(".weight") else {
            continue;
        };
        let scales = [format!("{weight}_scale_inv"), format!("{weight}_scale")];
        let scales = scales.into_iter().find(|scales| raw.contains_key(scales));
        let encoding = match (raw[name].0.dtype, scales) {
            (Dtype::F8_E4M3, Some(scales)) => e4m3(path, &raw, (name, &scales), block)?,
            (Dtype::F8_E4M3, None) => {
                return Err(CheckpointError::NoTensor {
                    path: path.to_owned(),
                    name: format!("{weight}_scale_inv"),
                });
            }
            (Dtype::U8, Some(scales)) => pairs(path, &raw, name, &scales)?,
            _ => continue,
        };
        let (info, bytes) = raw.remove(name).expect("a name of the map");
        let mut shape = info.shape;
        if let (Encoding::Pairs { .. }, Some(columns)) = (&encoding, shape.last_mut()) {
            *columns *= 2;
        }
        // Scales of activations are for products in fewer bits than ours.
        for end in [
            "weight_scale_inv",
            "weight_scale",
            "weight_scale_2",
            "weight_global_scale",
            "input_scale",
            "input_global_scale",
            "activation_scale",
        ] {
            raw.remove(&format!("{module}.{end}"));
        }
        let encoded = Encoded {
            shape,
            bytes,
            encoding,
        };
        joined.insert(weight.to_owned(), encoded);
    }
    joined.extend(raw.into_iter().map(|(name, (info, bytes))| {
        let plain = Encoded {
            shape: info.shape,
            bytes,
            encoding: Encoding::Plain(info.dtype),
        };
        (name, plain)
    }));
    Ok(joined)
}

/// What the scales of E4M3 in tensor `name` are of: all of it, each row, or blocks.
fn e4m3(
    path: &Path,
    raw: &HashMap<String, Raw>,
    (name, scales_name): (&str, &str),
    block: Option<[usize; 2]>,
) -> Result<Encoding, CheckpointError> {
    let (info, scales) = (&raw[name].0, &raw[scales_name]);
    let &[n, k] = info.shape.as_slice() else {
        return Err(unsupported(
            path,
            format!("FP8 in {:?} dimensions ({name})", info.shape),
        ));
    };
    let block = match (scales.0.shape.as_slice(), block) {
        ([] | [1], _) | ([1, 1], None) => [n.max(1), k.max(1)],
        (&[rows] | &[rows, 1], None) if rows == n => [1, k.max(1)],
        (&[rows, columns], Some(block)) => {
            let expected = vec![n.div_ceil(block[0]), k.div_ceil(block[1])];
            if [rows, columns] != *expected {
                return Err(CheckpointError::Shape {
                    path: path.to_owned(),
                    name: scales_name.to_owned(),
                    found: scales.0.shape.clone(),
                    expected,
                });
            }
            block
        }
        (shape, _) => {
            return Err(unsupported(
                path,
                format!(
                    "FP8 with scales of shape {shape:?} ({scales_name}), of which config.json says no size of a block"
                ),
            ));
        }
    };
    Ok(Encoding::E4m3 {
        scales: scales.clone(),
        block,
    })
}

/// 4 bits in pairs: NVFP4 or MXFP4 by the type of their scales.
fn pairs(
    path: &Path,
    raw: &HashMap<String, Raw>,
    name: &str,
    scales_name: &str,
) -> Result<Encoding, CheckpointError> {
    let (info, (scales, scale_bytes)) = (&raw[name].0, &raw[scales_name]);
    let kind = match scales.dtype {
        Dtype::F8_E4M3 => GgmlType::NVFP4,
        Dtype::U8 | Dtype::F8_E8M0 => GgmlType::MXFP4,
        other => {
            return Err(unsupported(
                path,
                format!("4 bits with scales of {other:?} ({scales_name})"),
            ));
        }
    };
    let &[n, half] = info.shape.as_slice() else {
        return Err(unsupported(
            path,
            format!("4 bits in {:?} dimensions ({name})", info.shape),
        ));
    };
    let (k, group) = match kind {
        GgmlType::NVFP4 => (2 * half, 16),
        _ => (2 * half, 32),
    };
    if !k.is_multiple_of(kind.block()) {
        return Err(unsupported(
            path,
            format!("{} in rows of {k} ({name})", kind.name()),
        ));
    }
    if *scales.shape != [n, k / group] {
        return Err(CheckpointError::Shape {
            path: path.to_owned(),
            name: scales_name.to_owned(),
            found: scales.shape.clone(),
            expected: vec![n, k / group],
        });
    }
    let weight = name.strip_suffix("_packed").unwrap_or(name);
    let number = |end: &str| {
        let name = format!("{weight}{end}");
        let numbers = raw.get(&name).map(|tensor| floats(path, &name, tensor));
        numbers
            .transpose()
            .map(|numbers| numbers.and_then(|numbers| numbers.first().copied()))
    };
    let factor = match (kind, number("_scale_2")?, number("_global_scale")?) {
        (GgmlType::MXFP4, ..) => 1.0,
        (_, Some(factor), _) => factor,
        (_, None, Some(divisor)) => 1.0 / divisor,
        (_, None, None) => {
            return Err(CheckpointError::NoTensor {
                path: path.to_owned(),
                name: format!("{weight}_scale_2"),
            });
        }
    };
    Ok(Encoding::Pairs {
        kind,
        scales: scale_bytes.clone(),
        factor,
    })
}

/// The numbers of a tensor of floats.
fn floats(path: &Path, name: &str, (info, bytes): &Raw) -> Result<Vec<f32>, CheckpointError> {
    let pairs = || bytes.as_chunks::<2>().0.iter();
    match info.dtype {
        Dtype::F32 => {
            let numbers = bytes.as_chunks::<4>().0.iter();
            Ok(numbers.map(|number| f32::from_le_bytes(*number)).collect())
        }
        Dtype::BF16 => Ok(pairs()
            .map(|b| half::bf16::from_le_bytes(*b).to_f32())
            .collect()),
        Dtype::F16 => Ok(pairs()
            .map(|b| half::f16::from_le_bytes(*b).to_f32())
            .collect()),
        other => Err(unsupported(path, format!("scales of {other:?} ({name})"))),
    }
}

fn unsupported(path: &Path, what: String) -> CheckpointError {
    CheckpointError::Unsupported {
        path: path.to_owned(),
        what,
    }
}

impl Encoded {
    /// Shape of the numbers.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Bytes in the file, those of scales with them.
    pub fn bytes(&self) -> u64 {
        let scales = match &self.encoding {
            Encoding::Plain(_) => 0,
            Encoding::E4m3 { scales, .. } => scales.1.len(),
            Encoding::Pairs { scales, .. } => scales.len(),
        };
        (self.bytes.len() + scales) as u64
    }

    /// True where it is written in the same way as another one, byte by byte.
    pub fn is_same(&self, other: &Self) -> bool {
        match (&self.encoding, &other.encoding) {
            (Encoding::Plain(a), Encoding::Plain(b)) => {
                (a, &self.shape) == (b, &other.shape) && *self.bytes == *other.bytes
            }
            _ => false,
        }
    }

    /// How its numbers are written; `None` where it is in a way that this program does not
    /// read.
    pub fn stored(&self) -> Option<Stored> {
        match self.encoding {
            Encoding::Plain(Dtype::F32) => Some(Stored::F32),
            Encoding::Plain(Dtype::F16) => Some(Stored::Dense(DenseFormat::F16)),
            Encoding::Plain(Dtype::BF16) => Some(Stored::Dense(DenseFormat::Bf16)),
            Encoding::Plain(_) => None,
            Encoding::E4m3 { .. } => Some(Stored::E4m3),
            Encoding::Pairs { kind, .. } => Some(Stored::Blocks(kind)),
        }
    }

    /// The rows of `place` as a matrix of `shape`: on a CPU at the file's width, and in the
    /// file's pages if it can be; else as [`Self::tensor`] gives it, or in blocks.
    pub fn matrix(
        &self,
        path: &Path,
        place: &Place,
        shape: &[usize],
        device: &Device,
    ) -> Result<Weight, CheckpointError> {
        let &[n, k] = shape else {
            return Ok(Weight::Plain(self.tensor(path, place, shape, device)?));
        };
        match (&self.encoding, self.stored()) {
            (Encoding::Pairs { .. }, _) => {
                Ok(Weight::Blocks(Arc::new(self.blocks(path, place, n, k)?)))
            }
            (Encoding::E4m3 { .. }, _) if device.is_cpu() => {
                Ok(Weight::Dense(Arc::new(self.scaled(path, place, n, k)?)))
            }
            (_, Some(Stored::Dense(format))) if device.is_cpu() => {
                let matrix = DenseMatrix::new(format, n, k, place.read(&self.bytes));
                Ok(Weight::Dense(Arc::new(matrix)))
            }
            _ => Ok(Weight::Plain(self.tensor(path, place, shape, device)?)),
        }
    }

    /// The rows of `place` as a tensor of `shape` on the device: f32, f16 or bf16 as the
    /// file has them, what has scales as f32.
    pub fn tensor(
        &self,
        path: &Path,
        place: &Place,
        shape: &[usize],
        device: &Device,
    ) -> Result<Tensor, CheckpointError> {
        let of_rows = || {
            let rows = place.ranges().iter().map(ExactSizeIterator::len).sum();
            (rows, self.shape.last().copied().unwrap_or(1))
        };
        let tensor = match &self.encoding {
            Encoding::Plain(dtype) => {
                let dtype = match dtype {
                    Dtype::F32 => DType::F32,
                    Dtype::F16 => DType::F16,
                    Dtype::BF16 => DType::BF16,
                    other => {
                        let name = &place.tensor;
                        return Err(unsupported(path, format!("a {other:?} tensor ({name})")));
                    }
                };
                Tensor::from_raw_buffer(&place.read(&self.bytes), dtype, shape, device)
            }
            Encoding::E4m3 { .. } => {
                let (n, k) = of_rows();
                Tensor::from_vec(self.scaled(path, place, n, k)?.to_f32(), shape, device)
            }
            Encoding::Pairs { .. } => {
                let (n, k) = of_rows();
                let blocks = self.blocks(path, place, n, k)?;
                Tensor::from_vec(blocks.to_f32(&Inline), shape, device)
            }
        };
        tensor.map_err(|source| CheckpointError::Tensor {
            name: place.tensor.clone(),
            source,
        })
    }

    /// Rows of E4M3 with their scales.
    fn scaled(
        &self,
        path: &Path,
        place: &Place,
        n: usize,
        k: usize,
    ) -> Result<DenseMatrix, CheckpointError> {
        let Encoding::E4m3 { scales, block } = &self.encoding else {
            unreachable!("asked of E4M3 only")
        };
        let scales = floats(path, &place.tensor, scales)?;
        let rows = place.ranges().into_iter().flatten();
        let block_of_row = rows.map(|row| (row / block[0]) as u32).collect();
        let scales = BlockScales::new(k, block[1], scales, block_of_row);
        Ok(DenseMatrix::e4m3(n, k, place.read(&self.bytes), scales))
    }

    /// Rows of 4-bit codes in the blocks that the kernels take.
    fn blocks(
        &self,
        path: &Path,
        place: &Place,
        n: usize,
        k: usize,
    ) -> Result<BlockMatrix, CheckpointError> {
        let Encoding::Pairs {
            kind,
            scales,
            factor,
        } = &self.encoding
        else {
            unreachable!("asked of 4 bits only")
        };
        let scales = place.read(scales);
        // NVFP4's have no sign, and its blocks no room for one.
        if *kind == GgmlType::NVFP4 && scales.iter().any(|&scale| scale > 0x7e) {
            return Err(CheckpointError::Damaged {
                path: path.to_owned(),
                reason: format!("a scale of {} is negative or no number", place.tensor),
            });
        }
        let codes = place.read(&self.bytes);
        let blocks = BlockMatrix::of_pairs(*kind, (n, k), &codes, &scales, &Inline);
        Ok(blocks.times(*factor))
    }
}
