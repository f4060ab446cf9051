//! A safetensors tensor with what belongs to it: numbers as they are, or codes and the
//! tensors that hold their scales.
//!
//! Which is which is told by names and types alone, since several tools write the same
//! numbers under other names. Of a weight `X.weight`:
//!
//! | numbers | tensor | scales | of the whole |
//! |---|---|---|---|
//! | E4M3 | `X.weight` | `X.weight_scale_inv` or `X.weight_scale`, floats | |
//! | NVFP4 (ModelOpt) | `X.weight`, u8 | `X.weight_scale`, E4M3 | times `X.weight_scale_2` |
//! | NVFP4 (compressed-tensors) | `X.weight_packed`, u8 | `X.weight_scale`, E4M3 | over `X.weight_global_scale` |
//! | MXFP4 | `X.weight` or `X.weight_packed`, u8 | `X.weight_scale`, u8 | |
//!
//! The 4-bit formats become GGUF's blocks as they are read, of the same size. NVFP4's factor
//! of a whole matrix goes with it (`PackedMatrix::times`). `quantised.rs` refuses every other
//! method by name.
use super::CheckpointError;
use super::names::Place;
use super::stored::{Stored, Weight};
use crate::base::Pool;
use candle_core::{DType, Device, Tensor};
use egss_kernels::{BlockMatrix, BlockScales, DenseFormat, DenseMatrix, GgmlType, MappedBytes};
use safetensors::tensor::{Dtype, TensorInfo};
use std::collections::HashMap;
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

/// Ends of the names of what belongs to a weight `X.weight`, behind `X.`. Scales of
/// activations are for products in fewer bits than ours.
const BESIDE: [&str; 7] = [
    "weight_scale_inv",
    "weight_scale",
    "weight_scale_2",
    "weight_global_scale",
    "input_scale",
    "input_global_scale",
    "activation_scale",
];

/// Rows and columns of a block of FP8 where nothing says so (DeepSeek-V3, and ModelOpt).
const BLOCK: [usize; 2] = [128, 128];

/// Joins the tensors of a checkpoint's files with what belongs to them, by name, and says
/// why some of them cannot be read: nobody may want those. `block`: rows and columns that
/// share a scale of E4M3, where config.json says.
pub(super) fn join(
    path: &Path,
    mut raw: HashMap<String, Raw>,
    block: Option<[usize; 2]>,
) -> (HashMap<String, Encoded>, HashMap<String, CheckpointError>) {
    let names: Vec<String> = raw.keys().cloned().collect();
    let (mut joined, mut faults) = (HashMap::new(), HashMap::new());
    for name in &names {
        let weight = name.strip_suffix("_packed").unwrap_or(name);
        let Some(module) = weight.strip_suffix(".weight") else {
            continue;
        };
        let scales = [
            format!("{module}.weight_scale_inv"),
            format!("{module}.weight_scale"),
        ];
        let scales = scales.into_iter().find(|scales| raw.contains_key(scales));
        let encoded = match (raw[name].0.dtype, scales) {
            (Dtype::F8_E4M3, Some(scales)) => e4m3(path, &raw, (name, &scales), block),
            (Dtype::F8_E4M3, None) => Err(CheckpointError::NoTensor {
                path: path.to_owned(),
                name: format!("{module}.weight_scale"),
            }),
            (Dtype::U8, Some(scales)) => pairs(path, &raw, name, &scales),
            _ => continue,
        };
        raw.remove(name);
        for end in BESIDE {
            raw.remove(&format!("{module}.{end}"));
        }
        match encoded {
            Ok(encoded) => drop(joined.insert(weight.to_owned(), encoded)),
            Err(fault) => drop(faults.insert(weight.to_owned(), fault)),
        }
    }
    joined.extend(raw.into_iter().map(|(name, (info, bytes))| {
        let plain = Encoded {
            shape: info.shape,
            bytes,
            encoding: Encoding::Plain(info.dtype),
        };
        (name, plain)
    }));
    (joined, faults)
}

/// E4M3 in tensor `name`, of which the scales are of all of it, of each row, or of blocks.
fn e4m3(
    path: &Path,
    raw: &HashMap<String, Raw>,
    (name, scales_name): (&str, &str),
    block: Option<[usize; 2]>,
) -> Result<Encoded, CheckpointError> {
    let ((info, bytes), scales) = (&raw[name], &raw[scales_name]);
    let &[n, k] = info.shape.as_slice() else {
        let shape = &info.shape;
        return Err(unsupported(
            path,
            format!("FP8 of shape {shape:?} ({name})"),
        ));
    };
    if !matches!(scales.0.dtype, Dtype::F32 | Dtype::BF16 | Dtype::F16) {
        let dtype = scales.0.dtype;
        return Err(unsupported(
            path,
            format!("FP8 with scales of {dtype:?} ({scales_name})"),
        ));
    }
    // ModelOpt has a dimension of 1 behind each of the two.
    let shape = match scales.0.shape.as_slice() {
        &[rows, 1, columns, 1] => vec![rows, columns],
        shape => shape.to_vec(),
    };
    let is_of = |[rows, columns]: [usize; 2]| shape == [n.div_ceil(rows), k.div_ceil(columns)];
    let whole = [n.max(1), k.max(1)];
    let each_row = [1, k.max(1)];
    let blocks = match shape.as_slice() {
        [] | [1] => Some(whole),
        &[rows] if rows == n => Some(each_row),
        _ => [block.unwrap_or(BLOCK), each_row, whole]
            .into_iter()
            .find(|&block| is_of(block)),
    };
    let Some(block) = blocks else {
        let [rows, columns] = block.unwrap_or(BLOCK);
        return Err(unsupported(
            path,
            format!(
                "FP8 with scales of shape {:?} ({scales_name}), which are of no row, of no blocks of {rows} x {columns}, and not of all of [{n}, {k}]",
                scales.0.shape
            ),
        ));
    };
    Ok(Encoded {
        shape: vec![n, k],
        bytes: bytes.clone(),
        encoding: Encoding::E4m3 {
            scales: scales.clone(),
            block,
        },
    })
}

/// 4 bits in pairs: NVFP4 or MXFP4 by the type of their scales.
fn pairs(
    path: &Path,
    raw: &HashMap<String, Raw>,
    name: &str,
    scales_name: &str,
) -> Result<Encoded, CheckpointError> {
    let ((info, bytes), (scales, scale_bytes)) = (&raw[name], &raw[scales_name]);
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
    let sizes = match info.shape.as_slice() {
        &[n, half] => half.checked_mul(2).map(|k| (n, k)),
        _ => None,
    };
    let Some((n, k)) = sizes else {
        let shape = &info.shape;
        return Err(unsupported(
            path,
            format!("4 bits of shape {shape:?} ({name})"),
        ));
    };
    if !k.is_multiple_of(kind.block()) {
        let kind = kind.name();
        return Err(unsupported(path, format!("{kind} in rows of {k} ({name})")));
    }
    let group = kind.scaled_by().expect("a type of 4-bit floats");
    if *scales.shape != [n, k / group] {
        return Err(CheckpointError::Shape {
            path: path.to_owned(),
            name: scales_name.to_owned(),
            found: scales.shape.clone(),
            expected: vec![n, k / group],
        });
    }
    let factor = match kind {
        GgmlType::NVFP4 => factor(path, raw, name)?,
        _ => 1.0,
    };
    Ok(Encoded {
        shape: vec![n, k],
        bytes: bytes.clone(),
        encoding: Encoding::Pairs {
            kind,
            scales: scale_bytes.clone(),
            factor,
        },
    })
}

/// The factor of all numbers of an NVFP4 weight. Under the name that one tool gives it is
/// multiplied with, under the other's divided by.
fn factor(path: &Path, raw: &HashMap<String, Raw>, codes: &str) -> Result<f32, CheckpointError> {
    let (multiplies, divides) = match codes.strip_suffix("_packed") {
        Some(weight) => (None, format!("{weight}_global_scale")),
        None => (
            Some(format!("{codes}_scale_2")),
            format!("{codes}_global_scale"),
        ),
    };
    let of = |name: &String| Some((name.clone(), raw.get(name)?));
    let named = multiplies.as_ref().and_then(of).map(|named| (named, false));
    let named = named.or_else(|| Some((of(&divides)?, true)));
    let Some(((name, tensor), is_divisor)) = named else {
        return Err(CheckpointError::NoTensor {
            path: path.to_owned(),
            name: multiplies.unwrap_or(divides),
        });
    };
    match floats(path, &name, tensor)?.as_slice() {
        &[number] if number.is_finite() && number != 0.0 => {
            Ok(if is_divisor { 1.0 / number } else { number })
        }
        numbers => Err(CheckpointError::Damaged {
            path: path.to_owned(),
            reason: format!("{name} should be one number that is not 0, and is {numbers:?}"),
        }),
    }
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
        let is_same_encoding = match (&self.encoding, &other.encoding) {
            (Encoding::Plain(a), Encoding::Plain(b)) => a == b,
            (
                Encoding::E4m3 { scales, block },
                Encoding::E4m3 {
                    scales: other_scales,
                    block: other_block,
                },
            ) => {
                let (info, other_info) = (&scales.0, &other_scales.0);
                (block, info.dtype) == (other_block, other_info.dtype)
                    && *scales.1 == *other_scales.1
            }
            (
                Encoding::Pairs {
                    kind,
                    scales,
                    factor,
                },
                Encoding::Pairs {
                    kind: other_kind,
                    scales: other_scales,
                    factor: other_factor,
                },
            ) => (kind, factor) == (other_kind, other_factor) && **scales == **other_scales,
            _ => false,
        };
        is_same_encoding && self.shape == other.shape && *self.bytes == *other.bytes
    }

    /// Refuses numbers that are written in a way that this program does not read.
    pub fn check(&self, path: &Path, name: &str) -> Result<(), CheckpointError> {
        match (&self.encoding, self.stored()) {
            (Encoding::Plain(dtype), None) => {
                Err(unsupported(path, format!("a {dtype:?} tensor ({name})")))
            }
            _ => Ok(()),
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
                Tensor::from_vec(blocks.to_f32(&Pool), shape, device)
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
        let blocks = BlockMatrix::of_pairs(*kind, (n, k), &codes, &scales, &Pool);
        Ok(blocks.times(*factor))
    }
}
