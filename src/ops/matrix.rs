//! A matrix of weights, in the form that products want.
#[cfg(feature = "cuda")]
use super::device::{DeviceMatrix, DeviceRows, gpu_error, with_view};
use super::pool::Pool;
use super::{Backend, Rows};
use crate::checkpoint::Weight;
use candle_core::quantized::{GgmlDType, QMatMul, QTensor};
use candle_core::{DType, Device, Result, Tensor, bail};
use egss_kernels::{Format, PackedMatrix};

/// Weights `[out, in]` of a product `x Wᵀ`, and rows to look up.
pub enum Matrix {
    /// On a CPU, in one of the kernels' formats: at the file's width.
    Packed(PackedMatrix),
    /// On a GPU with kernels of its own: bf16, whatever the file has.
    #[cfg(feature = "cuda")]
    Device(DeviceMatrix),
    /// Everything else goes by candle's own products.
    Composite(QMatMul),
}

impl Matrix {
    /// Takes a weight as a checkpoint gives it. Cost: one pass over it.
    pub fn new(weight: Weight, backend: &Backend) -> Result<Self> {
        #[cfg(feature = "cuda")]
        if let Some(gpu) = backend.gpu() {
            let plain = match &weight {
                Weight::Quantized(tensor) => &tensor.dequantize(backend.device())?,
                Weight::Plain(tensor) => tensor,
            };
            return Ok(Self::Device(DeviceMatrix::new(gpu, plain)?));
        }
        let tensor = match weight {
            Weight::Quantized(tensor) => tensor,
            Weight::Plain(tensor) => {
                let tensor = tensor.to_dtype(DType::F32)?;
                return Ok(Self::Composite(QMatMul::Tensor(tensor)));
            }
        };
        match format(&tensor).filter(|_| !backend.is_composite()) {
            Some(format) => {
                let (n, k) = tensor.shape().dims2()?;
                Ok(Self::Packed(PackedMatrix::pack(
                    format,
                    n,
                    k,
                    &tensor.data()?,
                    &Pool,
                )))
            }
            None => Ok(Self::Composite(QMatMul::from_arc(tensor)?)),
        }
    }

    /// `(out, in)`.
    pub fn dims2(&self) -> Result<(usize, usize)> {
        match self {
            Self::Packed(packed) => Ok((packed.n(), packed.k())),
            #[cfg(feature = "cuda")]
            Self::Device(matrix) => matrix.weights.dims2(),
            Self::Composite(QMatMul::QTensor(tensor)) => tensor.shape().dims2(),
            Self::Composite(QMatMul::Tensor(tensor) | QMatMul::TensorF16(tensor)) => tensor.dims2(),
        }
    }

    /// Bytes that a product reads of it.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Packed(packed) => packed.bytes(),
            #[cfg(feature = "cuda")]
            Self::Device(matrix) => 2 * matrix.weights.elem_count(),
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
            Self::Device(matrix) => {
                let (n, k) = matrix.weights.dims2()?;
                if let Some(id) = ids.iter().find(|&&id| id as usize >= n) {
                    bail!("row {id} of a matrix of {n} rows");
                }
                let gpu = &matrix.gpu;
                let ids = gpu.upload(ids).map_err(gpu_error)?;
                let rows = with_view(gpu, &matrix.weights, |weights| {
                    gpu.embed(weights, k, ids.view()).map_err(gpu_error)
                })??;
                Ok(Rows::Device(DeviceRows::f32(gpu, rows, k)))
            }
            Self::Packed(packed) => {
                let mut rows = vec![0f32; ids.len() * packed.k()];
                for (&id, row) in ids.iter().zip(rows.chunks_exact_mut(packed.k())) {
                    if id as usize >= packed.n() {
                        bail!("row {id} of a matrix of {} rows", packed.n());
                    }
                    packed.row(id as usize, row);
                }
                Ok(Tensor::from_vec(rows, (ids.len(), packed.k()), device)?.into())
            }
        }
    }
}

/// The kernels' name of a tensor's format, where they can take it.
fn format(tensor: &QTensor) -> Option<Format> {
    if !matches!(tensor.device(), Device::Cpu) {
        return None;
    }
    match tensor.dtype() {
        GgmlDType::Q4K => Some(Format::Q4K),
        GgmlDType::Q5_0 => Some(Format::Q5_0),
        GgmlDType::Q6K => Some(Format::Q6K),
        GgmlDType::Q8_0 => Some(Format::Q8_0),
        _ => None,
    }
}
