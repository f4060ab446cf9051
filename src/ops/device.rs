//! What a GPU's kernels are given: rows of activations, matrices, views of tensors.
use candle_core::cuda_backend::CudaDType;
use candle_core::{DType, Device, Error, Result, Storage, Tensor, bail};
use egss_kernels::CodedMatrix;
use egss_kernels::cuda::{
    Buffer, CodedWeights, Gpu, GpuError, PRODUCT_ROWS_MAX, View, Weights, bf16,
};
use std::sync::Arc;

/// Numbers of activations, f32 or, behind what rounds them for the next product, bf16.
pub(super) enum Values {
    F32(Buffer<f32>),
    Bf16(Buffer<bf16>),
}

/// Activations in a GPU's memory, `[T, width]`.
pub struct DeviceRows {
    pub(super) gpu: Arc<Gpu>,
    pub(super) values: Values,
    pub(super) t: usize,
    pub(super) width: usize,
}

impl DeviceRows {
    pub(super) fn f32(gpu: &Arc<Gpu>, values: Buffer<f32>, width: usize) -> Self {
        Self {
            gpu: gpu.clone(),
            t: values.view().len() / width,
            values: Values::F32(values),
            width,
        }
    }

    pub(super) fn bf16(gpu: &Arc<Gpu>, values: Buffer<bf16>, width: usize) -> Self {
        Self {
            gpu: gpu.clone(),
            t: values.view().len() / width,
            values: Values::Bf16(values),
            width,
        }
    }

    /// The numbers where they are f32.
    pub(super) fn floats(&self) -> Result<View<'_, f32>> {
        match &self.values {
            Values::F32(values) => Ok(values.view()),
            Values::Bf16(_) => bail!("rows of bf16 where f32 is needed"),
        }
    }

    /// A copy on the host, f32.
    pub(super) fn to_host(&self) -> Result<Vec<f32>> {
        match &self.values {
            Values::F32(values) => self.gpu.download(values.view()).map_err(gpu_error),
            Values::Bf16(values) => {
                let values = self.gpu.download(values.view()).map_err(gpu_error)?;
                Ok(values.iter().map(|v| v.to_f32()).collect())
            }
        }
    }
}

/// Weights `[n, k]` in a GPU's memory.
pub struct DeviceMatrix {
    pub(super) gpu: Arc<Gpu>,
    weights: DeviceWeights,
}

enum DeviceWeights {
    /// bf16.
    Floats(Tensor),
    /// Quantised ones, under one another; neighbours are of different codings.
    Coded(Vec<CodedWeights>),
}

/// Rows from which on a library's product with weights that were unpacked for it is worth
/// that: unpacking moves 4.6 bytes a weight of 4 bits, each 32 rows of products 0.6.
const UNPACKED_ROWS_MIN: usize = 257;

impl DeviceMatrix {
    /// Takes a tensor of any kind of float, from wherever it is.
    pub(super) fn new(gpu: &Arc<Gpu>, weights: &Tensor) -> Result<Self> {
        let (_, k) = weights.dims2()?;
        if !Gpu::takes_inputs(k) {
            bail!(
                "a matrix of {k} inputs: the GPU's kernels take multiples of 32; run this model with --device cpu"
            );
        }
        let weights = weights.to_dtype(DType::BF16)?.contiguous()?;
        Ok(Self {
            gpu: gpu.clone(),
            weights: DeviceWeights::Floats(weights),
        })
    }

    /// Copies coded weights.
    pub(super) fn coded(gpu: &Arc<Gpu>, weights: &CodedMatrix) -> Result<Self> {
        let weights = gpu.upload_coded(weights).map_err(gpu_error)?;
        Ok(Self {
            gpu: gpu.clone(),
            weights: DeviceWeights::Coded(vec![weights]),
        })
    }

    /// `(out, in)`.
    pub(super) fn dims2(&self) -> Result<(usize, usize)> {
        match &self.weights {
            DeviceWeights::Floats(weights) => weights.dims2(),
            DeviceWeights::Coded(parts) => {
                let n = parts.iter().map(|part| part.dims().0).sum();
                Ok((n, parts[0].dims().1))
            }
        }
    }

    /// Bytes of the GPU's memory.
    pub(super) fn bytes(&self) -> usize {
        match &self.weights {
            DeviceWeights::Floats(weights) => 2 * weights.elem_count(),
            DeviceWeights::Coded(parts) => parts.iter().map(CodedWeights::bytes).sum(),
        }
    }

    /// Several with the same inputs, under one another.
    pub(super) fn stacked(parts: Vec<Self>) -> Result<Self> {
        let Some(gpu) = parts.first().map(|part| part.gpu.clone()) else {
            bail!("no matrix to stack")
        };
        let device = parts.iter().find_map(|part| match &part.weights {
            DeviceWeights::Floats(weights) => Some(weights.device().clone()),
            DeviceWeights::Coded(_) => None,
        });
        if let Some(device) = device {
            let floats = parts.iter().map(|part| part.floats(&device));
            let floats = floats.collect::<Result<Vec<_>>>()?;
            let weights = match floats.as_slice() {
                [only] => only.clone(),
                several => Tensor::cat(several, 0)?,
            };
            return Ok(Self {
                gpu,
                weights: DeviceWeights::Floats(weights),
            });
        }
        let coded = parts.into_iter().flat_map(|part| match part.weights {
            DeviceWeights::Coded(parts) => parts,
            DeviceWeights::Floats(_) => Vec::new(), // there are none
        });
        let coded = gpu.stack_coded(coded.collect()).map_err(gpu_error)?;
        Ok(Self {
            gpu,
            weights: DeviceWeights::Coded(coded),
        })
    }

    /// All of it as bf16, by way of the host where it is not.
    fn floats(&self, device: &Device) -> Result<Tensor> {
        match &self.weights {
            DeviceWeights::Floats(weights) => Ok(weights.clone()),
            DeviceWeights::Coded(parts) => {
                let all = self.gpu.unpack(&Vec::from_iter(parts)).map_err(gpu_error)?;
                let all = self.gpu.download(all.view()).map_err(gpu_error)?;
                Tensor::from_vec(all, self.dims2()?, device)
            }
        }
    }

    /// Rows by their numbers, `[T, k]` f32.
    pub(super) fn rows(&self, ids: &[u32]) -> Result<DeviceRows> {
        let (n, k) = self.dims2()?;
        if let Some(id) = ids.iter().find(|&&id| id as usize >= n) {
            bail!("row {id} of a matrix of {n} rows");
        }
        let gpu = &self.gpu;
        let ids = gpu.upload(ids).map_err(gpu_error)?;
        let rows = match &self.weights {
            DeviceWeights::Floats(weights) => {
                with_view(gpu, weights, |weights| gpu.embed(weights, k, ids.view()))?
            }
            DeviceWeights::Coded(parts) => match parts.as_slice() {
                [only] => gpu.embed_coded(only, ids.view()),
                _ => bail!("rows of several matrices"),
            },
        };
        Ok(DeviceRows::f32(gpu, rows.map_err(gpu_error)?, k))
    }

    /// `x Wᵀ + bias + onto`, f32.
    pub(super) fn multiply(
        &self,
        x: View<'_, bf16>,
        rows: usize,
        bias: Option<&Tensor>,
        onto: Option<View<'_, f32>>,
    ) -> Result<Buffer<f32>> {
        let gpu = &self.gpu;
        let (n, k) = self.dims2()?;
        let by_library = |values: View<'_, bf16>, bias: Option<View<'_, f32>>| {
            let y = gpu.product_by_library(Weights { values, n, k }, x, rows)?;
            match bias.is_none() && onto.is_none() {
                true => Ok(y),
                false => gpu.finish_product(y.view(), n, bias, onto),
            }
        };
        let product = match &self.weights {
            DeviceWeights::Floats(weights) => with_view(gpu, weights, |values| {
                with_optional(gpu, bias, |bias| match rows <= PRODUCT_ROWS_MAX {
                    true => gpu.product(Weights { values, n, k }, x, rows, bias, onto),
                    false => by_library(values, bias),
                })
            })?,
            DeviceWeights::Coded(parts) => with_optional(gpu, bias, |bias| {
                let parts = Vec::from_iter(parts);
                match rows < UNPACKED_ROWS_MIN {
                    true => gpu.product_coded(&parts, x, rows, bias, onto),
                    false => by_library(gpu.unpack(&parts)?.view(), bias),
                }
            }),
        };
        product.map_err(gpu_error)
    }

    /// `silu(first half) * second half` of `x Wᵀ`, where the kernels have that in one.
    pub(super) fn multiply_gated(
        &self,
        x: View<'_, bf16>,
        rows: usize,
    ) -> Result<Option<Buffer<bf16>>> {
        if rows > PRODUCT_ROWS_MAX {
            return Ok(None);
        }
        let (n, k) = self.dims2()?;
        let product = match &self.weights {
            DeviceWeights::Floats(weights) => with_view(&self.gpu, weights, |values| {
                self.gpu.product_gated(Weights { values, n, k }, x, rows)
            })?,
            DeviceWeights::Coded(parts) => match parts.as_slice() {
                [both] => self.gpu.product_gated_coded(both, x, rows),
                // Gate and up are of two codings.
                _ => return Ok(None),
            },
        };
        product.map(Some).map_err(gpu_error)
    }
}

/// Calls `f` with the numbers of a contiguous tensor in the GPU's memory.
pub(super) fn with_view<T: CudaDType, R>(
    gpu: &Gpu,
    tensor: &Tensor,
    f: impl FnOnce(View<'_, T>) -> R,
) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cuda(storage) = &*storage else {
        bail!("a tensor on the host where one on the GPU is needed")
    };
    let Some((start, end)) = layout.contiguous_offsets() else {
        bail!("a tensor of layout {layout:?} where a contiguous one is needed")
    };
    let slice = storage.as_cuda_slice::<T>()?;
    Ok(f(gpu.view(&slice.slice(start..end))))
}

fn with_optional<R>(
    gpu: &Gpu,
    tensor: Option<&Tensor>,
    f: impl FnOnce(Option<View<'_, f32>>) -> std::result::Result<R, GpuError>,
) -> std::result::Result<R, GpuError> {
    match tensor {
        None => f(None),
        // A bias is made by the projection that holds it, contiguous and on the GPU.
        Some(tensor) => with_view(gpu, tensor, |view| f(Some(view)))
            .expect("a bias that its projection put on the GPU"),
    }
}

/// A GPU's error as one of candle's.
pub(super) fn gpu_error(error: GpuError) -> Error {
    Error::Cuda(Box::new(error))
}
