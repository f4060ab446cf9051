//! A matrix of weights, in the form that products want.
//!
//! On a CPU, files of weights are mapped. 16-bit floats and FP8's E4M3 numbers are multiplied
//! where they lie: widened on the way into a register, times the scale of their block if they
//! have one, and summed in f32. A matrix whose rows the decoder wants in another order is
//! copied at its width. Quantised weights stay at the file's width, in another order, packed
//! out of the file's pages; `GgmlType::format` says which types have a kernel. Others go by
//! candle's products if it has the type, else they become 16-bit floats here.
use super::backend::MatrixDtype;
#[cfg(feature = "cuda")]
use super::device::DeviceMatrix;
use super::{Backend, Operations, Rows};
use crate::base::Pool;
use crate::checkpoint::{Stored, TensorEntry, Weight, candle_type};
use candle_core::quantized::{QMatMul, QStorage, QTensor};
use candle_core::{CpuStorage, DType, Device, Result, Storage, Tensor, bail};
use egss_kernels::{
    AlignedBytes, BlockMatrix, Coding, DenseFormat, DenseMatrix, GgmlType, PackedMatrix,
};
#[cfg(feature = "cuda")]
use egss_kernels::{CodedMatrix, Format};
use std::borrow::Cow;
use std::sync::Arc;

/// Weights `[out, in]` of a product `x Wᵀ`, and rows to look up.
pub enum Matrix {
    /// On a CPU, in one of the kernels' formats: at the file's width.
    Packed(PackedMatrix),
    /// On a CPU, 16-bit floats and E4M3: as the file has them, or rounded to 16 bits.
    Dense(Arc<DenseMatrix>),
    /// On a GPU with kernels of its own: bf16, or coded where the file is quantised.
    #[cfg(feature = "cuda")]
    Device(DeviceMatrix),
    /// Everything else goes by candle's own products.
    Composite(QMatMul),
}

impl Matrix {
    /// Takes a weight as a checkpoint gives it. Cost: one pass over it; none where a file's
    /// own 16-bit floats or E4M3 will do.
    pub fn new(weight: Weight, backend: &Backend) -> Result<Self> {
        #[cfg(feature = "cuda")]
        if let Some(gpu) = backend.gpu() {
            if let Some(coded) = coded(&weight)? {
                return Ok(Self::Device(DeviceMatrix::coded(gpu, &coded)?));
            }
            let plain = match &weight {
                Weight::Blocks(matrix) => widened(matrix, backend.device())?,
                weight => weight.to_tensor(backend.device())?,
            };
            return Ok(Self::Device(DeviceMatrix::new(gpu, &plain)?));
        }
        match weight {
            Weight::Blocks(matrix) => Self::blocks(&matrix, backend),
            Weight::Packed(matrix) => Ok(Self::Packed(matrix)),
            floats => Self::floats(floats, backend),
        }
    }

    fn floats(weight: Weight, backend: &Backend) -> Result<Self> {
        match (backend.matrix_dtype(), weight) {
            (MatrixDtype::Auto, Weight::Dense(matrix)) => Ok(Self::Dense(matrix)),
            (MatrixDtype::Bf16, Weight::Dense(matrix))
                if matrix.format() == Some(DenseFormat::Bf16) =>
            {
                Ok(Self::Dense(matrix))
            }
            (MatrixDtype::Auto, Weight::Plain(tensor))
                if matches!(tensor.dtype(), DType::BF16 | DType::F16) =>
            {
                Self::dense(&tensor)
            }
            (MatrixDtype::Bf16, weight) => {
                Self::dense(&weight.to_tensor(backend.device())?.to_dtype(DType::BF16)?)
            }
            (MatrixDtype::Auto | MatrixDtype::F32, weight) => {
                let tensor = weight.to_tensor(backend.device())?;
                Ok(Self::Composite(QMatMul::Tensor(
                    tensor.to_dtype(DType::F32)?,
                )))
            }
        }
    }

    /// A copy of a tensor of 16-bit floats on a CPU.
    fn dense(tensor: &Tensor) -> Result<Self> {
        let (n, k) = tensor.dims2()?;
        let tensor = tensor.contiguous()?;
        let (storage, layout) = tensor.storage_and_layout();
        let numbers = layout.start_offset()..layout.start_offset() + n * k;
        let matrix = match &*storage {
            Storage::Cpu(CpuStorage::BF16(values)) => {
                let numbers = values[numbers].iter().map(|v| v.to_le_bytes());
                DenseMatrix::copied(DenseFormat::Bf16, n, k, numbers)
            }
            Storage::Cpu(CpuStorage::F16(values)) => {
                let numbers = values[numbers].iter().map(|v| v.to_le_bytes());
                DenseMatrix::copied(DenseFormat::F16, n, k, numbers)
            }
            _ => bail!(
                "a tensor of {:?} where 16-bit floats are needed",
                tensor.dtype()
            ),
        };
        Ok(Self::Dense(Arc::new(matrix)))
    }

    /// Blocks at their own width where a kernel multiplies them, or candle does; else as
    /// 16-bit floats: a half, which has as many digits as any block's scale, unless a number
    /// is too large.
    fn blocks(matrix: &BlockMatrix, backend: &Backend) -> Result<Self> {
        let format = match backend.operations() {
            Operations::Candle => None,
            Operations::CpuKernels | Operations::GpuKernels => matrix.format(),
        };
        if let Some(format) = format {
            return Ok(Self::Packed(matrix.packed(format, &Pool)));
        }
        if let Some(tensor) = for_candle(matrix, backend.device())? {
            return Ok(Self::Composite(QMatMul::from_arc(Arc::new(tensor))?));
        }
        let dense = match backend.matrix_dtype() {
            MatrixDtype::Auto => matrix.to_dense(DenseFormat::F16, &Pool),
            MatrixDtype::Bf16 => matrix.to_dense(DenseFormat::Bf16, &Pool),
            MatrixDtype::F32 => None,
        };
        match dense {
            Some(dense) => Ok(Self::Dense(Arc::new(dense))),
            None => Self::floats(Weight::Plain(widened(matrix, backend.device())?), backend),
        }
    }

    /// Bytes of memory that [`Matrix::new`] will take of a tensor, and how many of them
    /// are in its file's own pages.
    pub fn planned_bytes(tensor: &TensorEntry, backend: &Backend) -> (u64, u64) {
        let (narrow, wide) = (2 * tensor.n, 4 * tensor.n);
        // candle lays some formats out again for a CPU.
        let by_candle = match backend.operations() {
            Operations::GpuKernels => return (coded_bytes(tensor).unwrap_or(narrow), 0),
            Operations::CpuKernels => false,
            Operations::Candle => backend.device().is_cpu(),
        };
        let by_kernels = backend.operations() == Operations::CpuKernels;
        let kept = match tensor.is_one_piece {
            true => (narrow, narrow),
            false => (narrow, 0),
        };
        match (backend.matrix_dtype(), tensor.stored) {
            (_, Stored::Blocks(_))
                if by_kernels && tensor.stored.format(tensor.columns).is_some() =>
            {
                (tensor.bytes, 0)
            }
            (_, Stored::Blocks(kind)) if candle_type(kind).is_some() => {
                match by_candle && is_laid_out_again(kind) {
                    true => (tensor.bytes * 5 / 2, 0),
                    false => (tensor.bytes, 0),
                }
            }
            (MatrixDtype::F32, _) => (wide, 0),
            (MatrixDtype::Auto, Stored::Blocks(_)) => (narrow, 0),
            (MatrixDtype::Auto, Stored::Dense(_)) => kept,
            (MatrixDtype::Auto, Stored::E4m3) if tensor.is_one_piece => (tensor.bytes, tensor.n),
            (MatrixDtype::Auto, Stored::E4m3) => (tensor.bytes, 0),
            (MatrixDtype::Auto, Stored::F32) => (wide, 0),
            (MatrixDtype::Bf16, Stored::Dense(DenseFormat::Bf16)) => kept,
            (MatrixDtype::Bf16, _) => (narrow, 0),
        }
    }

    /// True where a GPU's kernels keep a tensor's codes.
    pub fn is_coded(tensor: &TensorEntry) -> bool {
        coded_bytes(tensor).is_some()
    }

    /// `(out, in)`.
    pub fn dims2(&self) -> Result<(usize, usize)> {
        match self {
            Self::Packed(packed) => Ok((packed.n(), packed.k())),
            Self::Dense(dense) => Ok((dense.n(), dense.k())),
            #[cfg(feature = "cuda")]
            Self::Device(matrix) => matrix.dims2(),
            Self::Composite(QMatMul::QTensor(tensor)) => tensor.shape().dims2(),
            Self::Composite(QMatMul::Tensor(tensor) | QMatMul::TensorF16(tensor)) => tensor.dims2(),
        }
    }

    /// True where a row of a product has the same bits whatever other rows there are.
    pub fn rows_are_independent(&self) -> bool {
        match self {
            Self::Packed(_) | Self::Dense(_) => true,
            #[cfg(feature = "cuda")]
            Self::Device(_) => false,
            Self::Composite(_) => false,
        }
    }

    /// Bytes that a product reads of it.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Packed(packed) => packed.bytes(),
            Self::Dense(dense) => dense.bytes(),
            #[cfg(feature = "cuda")]
            Self::Device(matrix) => matrix.bytes(),
            Self::Composite(QMatMul::QTensor(tensor)) => tensor.storage_size_in_bytes(),
            Self::Composite(QMatMul::Tensor(tensor) | QMatMul::TensorF16(tensor)) => {
                tensor.elem_count() * tensor.dtype().size_in_bytes()
            }
        }
    }

    /// Rows by index: `ids: [T]` to `[T, in]` f32.
    pub fn rows(&self, ids: &[u32], device: &Device) -> Result<Rows> {
        match self {
            Self::Composite(weights) => Ok(weights.embedding(&Tensor::new(ids, device)?)?.into()),
            #[cfg(feature = "cuda")]
            Self::Device(matrix) => Ok(Rows::Device(matrix.rows(ids)?)),
            Self::Packed(packed) => {
                host_rows(ids, (packed.n(), packed.k()), |id, row| packed.row(id, row))
            }
            Self::Dense(dense) => {
                host_rows(ids, (dense.n(), dense.k()), |id, row| dense.row(id, row))
            }
        }
    }
}

/// Blocks as f32 on a device.
fn widened(matrix: &BlockMatrix, device: &Device) -> Result<Tensor> {
    Tensor::from_vec(matrix.to_f32(&Pool), (matrix.n(), matrix.k()), device)
}

/// candle's own tensor of the blocks, where it has their type. Cost: a copy.
fn for_candle(matrix: &BlockMatrix, device: &Device) -> Result<Option<QTensor>> {
    let Some(kind) = candle_type(matrix.kind()) else {
        return Ok(None);
    };
    let mut blocks = Cow::Borrowed(matrix.blocks());
    let moved;
    // candle reads them as structures, which begin with halves or an f32.
    if blocks.as_ptr().align_offset(align_of::<f32>()) != 0 {
        moved = AlignedBytes::from(&*blocks);
        blocks = Cow::Borrowed(&moved);
    }
    let storage = QStorage::from_data(blocks, device, kind)?;
    QTensor::new(storage, (matrix.n(), matrix.k())).map(Some)
}

/// Rows by index of a matrix `[n, k]` on a host; `fill` gives each.
fn host_rows(
    ids: &[u32],
    (n, k): (usize, usize),
    fill: impl Fn(usize, &mut [f32]),
) -> Result<Rows> {
    let mut rows = vec![0f32; ids.len() * k];
    for (&id, row) in ids.iter().zip(rows.chunks_exact_mut(k)) {
        if id as usize >= n {
            bail!("row {id} of a matrix of {n} rows");
        }
        fill(id as usize, row);
    }
    Ok(Tensor::from_vec(rows, (ids.len(), k), &Device::Cpu)?.into())
}

/// Quantised weights as a GPU's kernels take them, where they do.
#[cfg(feature = "cuda")]
fn coded(weight: &Weight) -> Result<Option<CodedMatrix>> {
    let (_, k) = weight.dims2()?;
    let has_coding = |format: &Format| Coding::of(*format, k).is_some();
    Ok(match weight {
        Weight::Blocks(matrix) => {
            let format = matrix.format().filter(has_coding);
            format.map(|format| matrix.coded(format, &Pool))
        }
        Weight::Packed(_) | Weight::Dense(_) | Weight::Plain(_) => None,
    })
}

/// Bytes of a tensor as a GPU's kernels have it, where they take its codes.
fn coded_bytes(tensor: &TensorEntry) -> Option<u64> {
    let coding = Coding::of(tensor.stored.format(tensor.columns)?, tensor.columns)?;
    let n = tensor.n as usize / tensor.columns;
    Some(coding.bytes(n, tensor.columns) as u64)
}

/// True for what candle lays out once more when a CPU first multiplies with it, and keeps
/// both: in up to one and a half times the bytes (its `quantized/repack_x86.rs`).
fn is_laid_out_again(kind: GgmlType) -> bool {
    use GgmlType as T;
    matches!(kind, T::Q4_0 | T::Q4_K | T::Q5_K | T::Q6_K | T::Q8_0)
}
