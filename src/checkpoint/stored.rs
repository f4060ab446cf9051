//! What a checkpoint gives: matrices as their files have them.
use super::names::Wanted;
use candle_core::quantized::GgmlDType;
use candle_core::{DType, Device, Result, Tensor};
use egss_kernels::{BlockMatrix, DenseFormat, DenseMatrix, Format, GgmlType, Inline, PackedMatrix};
use std::sync::Arc;

/// A matrix of weights, `[out, in]`. Cloning shares the storage.
#[derive(Clone)]
pub enum Weight {
    /// In blocks, in the file's own pages where they can be: GGUF's, and 4-bit floats of
    /// safetensors.
    Blocks(Arc<BlockMatrix>),
    /// Laid out for a CPU's kernels, from a file of packed weights.
    Packed(PackedMatrix),
    /// 16-bit floats or E4M3 for a CPU, in the file's own pages where they can be.
    Dense(Arc<DenseMatrix>),
    /// Floats as the file has them: f32, or on a device f16 or bf16.
    Plain(Tensor),
}

impl Weight {
    /// `(out, in)`.
    pub fn dims2(&self) -> Result<(usize, usize)> {
        match self {
            Self::Blocks(matrix) => Ok((matrix.n(), matrix.k())),
            Self::Packed(matrix) => Ok((matrix.n(), matrix.k())),
            Self::Dense(matrix) => Ok((matrix.n(), matrix.k())),
            Self::Plain(tensor) => tensor.dims2(),
        }
    }

    /// A tensor of floats of some width on the device. Cost: none where it is one already;
    /// quantised weights and E4M3 as f32, others at their width.
    pub fn to_tensor(&self, device: &Device) -> Result<Tensor> {
        match self {
            Self::Blocks(matrix) => {
                let shape = (matrix.n(), matrix.k());
                Tensor::from_vec(matrix.to_f32(&Inline), shape, device)
            }
            Self::Packed(matrix) => {
                let (n, k) = (matrix.n(), matrix.k());
                let mut numbers = vec![0f32; n * k];
                for (index, row) in numbers.chunks_exact_mut(k).enumerate() {
                    matrix.row(index, row);
                }
                Tensor::from_vec(numbers, (n, k), device)
            }
            Self::Dense(matrix) => {
                let shape = [matrix.n(), matrix.k()];
                let dtype = match matrix.format() {
                    Some(DenseFormat::Bf16) => DType::BF16,
                    Some(DenseFormat::F16) => DType::F16,
                    None => return Tensor::from_vec(matrix.to_f32(), &shape, device),
                };
                Tensor::from_raw_buffer(matrix.numbers(), dtype, &shape, device)
            }
            Self::Plain(tensor) => tensor.to_device(device),
        }
    }
}

/// How a tensor's numbers are written in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// In one of GGUF's formats of blocks.
    Blocks(GgmlType),
    F32,
    /// 16-bit floats.
    Dense(DenseFormat),
    /// FP8's E4M3, with a scale for each block of rows and columns.
    E4m3,
}

impl Stored {
    /// How numbers of a type of GGUF's are held.
    pub(super) fn of(kind: GgmlType) -> Self {
        use GgmlType as T;
        match kind {
            T::F32 | T::F64 | T::I8 | T::I16 | T::I32 | T::I64 => Self::F32,
            T::F16 => Self::Dense(DenseFormat::F16),
            T::BF16 => Self::Dense(DenseFormat::Bf16),
            T::Q4_0
            | T::Q4_1
            | T::Q5_0
            | T::Q5_1
            | T::Q8_0
            | T::Q2_K
            | T::Q3_K
            | T::Q4_K
            | T::Q5_K
            | T::Q6_K
            | T::Q8_1
            | T::Q8_K
            | T::IQ1_S
            | T::IQ1_M
            | T::IQ2_XXS
            | T::IQ2_XS
            | T::IQ2_S
            | T::IQ3_XXS
            | T::IQ3_S
            | T::IQ4_NL
            | T::IQ4_XS
            | T::TQ1_0
            | T::TQ2_0
            | T::MXFP4
            | T::NVFP4
            | T::Q1_0
            | T::Q2_0 => Self::Blocks(kind),
        }
    }

    /// How the kernels multiply rows of `k` at the file's own width, where they do.
    pub fn format(self, k: usize) -> Option<Format> {
        match self {
            Self::Blocks(kind) => kind.format(k),
            Self::F32 | Self::Dense(_) | Self::E4m3 => None,
        }
    }
}

/// candle's name for a type of blocks that it multiplies with, too.
pub fn candle_type(kind: GgmlType) -> Option<GgmlDType> {
    use GgmlType as T;
    match kind {
        T::Q4_0 => Some(GgmlDType::Q4_0),
        T::Q4_1 => Some(GgmlDType::Q4_1),
        T::Q5_0 => Some(GgmlDType::Q5_0),
        T::Q5_1 => Some(GgmlDType::Q5_1),
        T::Q8_0 => Some(GgmlDType::Q8_0),
        T::Q2_K => Some(GgmlDType::Q2K),
        T::Q3_K => Some(GgmlDType::Q3K),
        T::Q4_K => Some(GgmlDType::Q4K),
        T::Q5_K => Some(GgmlDType::Q5K),
        T::Q6_K => Some(GgmlDType::Q6K),
        _ => None,
    }
}

/// One tensor that a decoder takes, as its file has it.
#[derive(Clone, Copy, Debug)]
pub struct TensorEntry {
    pub stored: Stored,
    /// Numbers.
    pub n: u64,
    /// Numbers of a row.
    pub columns: usize,
    /// Bytes in the file.
    pub bytes: u64,
    /// True for a matrix of a product or of rows to look up; others are taken as f32.
    pub is_product: bool,
    /// True for a matrix of one of a mixture's experts.
    pub is_expert: bool,
    /// True where it is one piece of a file.
    pub is_one_piece: bool,
}

impl TensorEntry {
    pub(super) fn new(wanted: &Wanted, stored: Stored, bytes: u64) -> Self {
        Self {
            stored,
            n: wanted.shape.iter().map(|&size| size as u64).product(),
            columns: wanted.shape.last().copied().unwrap_or(1),
            bytes,
            is_product: wanted.is_product(),
            is_expert: wanted.expert().is_some(),
            is_one_piece: wanted.place.is_one_piece(),
        }
    }
}
