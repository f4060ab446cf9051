//! What a checkpoint gives: matrices as their files have them.
use super::names::Wanted;
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Result, Tensor};
use egss_kernels::{BlockMatrix, DenseFormat, DenseMatrix, GgmlType, Inline};
use std::sync::Arc;

/// A matrix of weights, `[out, in]`. Cloning shares the storage.
#[derive(Clone)]
pub enum Weight {
    /// As quantised in the file.
    Quantized(Arc<QTensor>),
    /// In blocks of a type that candle does not have, in the file's own pages where they
    /// can be.
    Blocks(Arc<BlockMatrix>),
    /// 16-bit floats for a CPU, in the file's own pages where they can be.
    Dense(Arc<DenseMatrix>),
    /// Floats as the file has them: f32, or on a device f16 or bf16.
    Plain(Tensor),
}

impl Weight {
    /// `(out, in)`.
    pub fn dims2(&self) -> Result<(usize, usize)> {
        match self {
            Self::Quantized(tensor) => tensor.shape().dims2(),
            Self::Blocks(matrix) => Ok((matrix.n(), matrix.k())),
            Self::Dense(matrix) => Ok((matrix.n(), matrix.k())),
            Self::Plain(tensor) => tensor.dims2(),
        }
    }

    /// A tensor of floats of some width on the device. Cost: none where it is one already;
    /// quantised weights as f32, others at their width.
    pub fn to_tensor(&self, device: &Device) -> Result<Tensor> {
        match self {
            Self::Quantized(tensor) => tensor.dequantize(device),
            Self::Blocks(matrix) => {
                let shape = (matrix.n(), matrix.k());
                Tensor::from_vec(matrix.to_f32(&Inline), shape, device)
            }
            Self::Dense(matrix) => {
                let dtype = match matrix.format() {
                    DenseFormat::Bf16 => DType::BF16,
                    DenseFormat::F16 => DType::F16,
                };
                let shape = [matrix.n(), matrix.k()];
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
    Quantized(GgmlDType),
    /// In one of GGUF's formats of blocks that candle does not have.
    Blocks(GgmlType),
    F32,
    /// 16-bit floats.
    Dense(DenseFormat),
    /// FP8, with a scale for each block of rows and columns.
    Fp8,
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
