//! Root-mean-square normalisation (Zhang and Sennrich 2019, arXiv 1910.07467).
use super::slice::{host, with_host};
use candle_core::{CpuStorage, CustomOp1, Device, Layout, Result, Shape, Tensor};
use egss_kernels::Isa;

/// `x * weight / sqrt(mean(x²) + eps)`.
pub struct RmsNorm {
    weight: Tensor, // [E]
    eps: f32,
}

impl RmsNorm {
    /// `weight: [E]` f32; `eps` is added to the mean square.
    pub fn new(weight: Tensor, eps: f32) -> Self {
        Self { weight, eps }
    }

    /// `x: [T, E]` to `[T, E]` f32.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = x.contiguous()?;
        match x.device() {
            Device::Cpu if x.dim(1)?.is_multiple_of(16) => x.apply_op1_no_bwd(&Normalise(self)),
            _ => candle_nn::ops::rms_norm(&x, &self.weight, self.eps),
        }
    }

    pub(super) fn weight(&self) -> &Tensor {
        &self.weight
    }

    pub(super) fn eps(&self) -> f32 {
        self.eps
    }
}

struct Normalise<'a>(&'a RmsNorm);

impl CustomOp1 for Normalise<'_> {
    fn name(&self) -> &'static str {
        "rms_norm"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let width = layout.dims()[1];
        let x = host(x, layout)?;
        let mut out = vec![0f32; x.len()];
        with_host(&self.0.weight, |weight| {
            for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
                egss_kernels::rms_norm(Isa::best(), x, weight, self.0.eps, out);
            }
        })?;
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }
}
