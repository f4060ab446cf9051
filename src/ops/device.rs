//! What a GPU's kernels are given: rows of activations, matrices, views of tensors.
use candle_core::cuda_backend::CudaDType;
use candle_core::{DType, Error, Result, Storage, Tensor, bail};
use egss_kernels::cuda::{Buffer, Gpu, GpuError, PRODUCT_ROWS_MAX, View, Weights, bf16};
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

/// Weights `[n, k]` bf16 in a GPU's memory.
pub struct DeviceMatrix {
    pub(super) gpu: Arc<Gpu>,
    pub(super) weights: Tensor,
}

impl DeviceMatrix {
    /// Takes a tensor of any kind of float.
    pub(super) fn new(gpu: &Arc<Gpu>, weights: &Tensor) -> Result<Self> {
        let (_, k) = weights.dims2()?;
        if !Gpu::takes_inputs(k) {
            bail!(
                "a matrix of {k} inputs: the GPU's kernels take multiples of 32; run this model with --device cpu"
            );
        }
        Ok(Self {
            gpu: gpu.clone(),
            weights: weights.to_dtype(DType::BF16)?.contiguous()?,
        })
    }

    /// Several with the same inputs, under one another.
    pub(super) fn stacked(parts: &[&Self]) -> Result<Self> {
        let weights: Vec<&Tensor> = parts.iter().map(|part| &part.weights).collect();
        let weights = match weights.as_slice() {
            [only] => (*only).clone(),
            several => Tensor::cat(several, 0)?,
        };
        Ok(Self {
            gpu: parts[0].gpu.clone(),
            weights,
        })
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
        let (n, k) = self.weights.dims2()?;
        with_view(gpu, &self.weights, |values| {
            let weights = Weights { values, n, k };
            with_optional(gpu, bias, |bias| {
                if rows <= PRODUCT_ROWS_MAX {
                    return gpu.product(weights, x, rows, bias, onto);
                }
                let y = gpu.product_by_library(weights, x, rows)?;
                match bias.is_none() && onto.is_none() {
                    true => Ok(y),
                    false => gpu.finish_product(y.view(), n, bias, onto),
                }
            })
        })?
        .map_err(gpu_error)
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
        let (n, k) = self.weights.dims2()?;
        let product = with_view(&self.gpu, &self.weights, |values| {
            self.gpu.product_gated(Weights { values, n, k }, x, rows)
        })?;
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
    Error::Msg(error.to_string())
}
