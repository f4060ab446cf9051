//! Root-mean-square normalisation (Zhang and Sennrich 2019, arXiv 1910.07467).
use super::Rows;
#[cfg(feature = "cuda")]
use super::device::{DeviceRows, gpu_error, with_view};
use super::slice::{host, with_host};
use candle_core::{CpuStorage, CustomOp1, Device, InplaceOp1, Layout, Result, Shape, Tensor, bail};
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
    pub fn forward(&self, x: &Rows) -> Result<Rows> {
        match x {
            Rows::Tensor(x) => Ok(self.forward_tensor(x)?.into()),
            #[cfg(feature = "cuda")]
            Rows::Device(x) => {
                let y = with_view(&x.gpu, &self.weight, |weight| {
                    let y = x.gpu.rms_norm(x.floats()?, weight, self.eps);
                    y.map_err(gpu_error)
                })??;
                Ok(Rows::Device(DeviceRows::f32(&x.gpu, y, x.width)))
            }
        }
    }

    pub(super) fn forward_tensor(&self, x: &Tensor) -> Result<Tensor> {
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

/// Norms over each head's D numbers, before it is turned.
pub struct HeadNorms {
    pub queries: RmsNorm,
    pub keys: RmsNorm,
}

/// Normalises `n` heads of D from head `first` of `rows: [T, width]` f32 on, each by
/// itself, in place (Qwen3's norms of queries and keys).
pub fn normalise_heads(rows: &Tensor, first: usize, n: usize, norm: &RmsNorm) -> Result<()> {
    let (_, width) = rows.dims2()?;
    let d = norm.weight.elem_count();
    if (first + n) * d > width {
        bail!("normalise_heads: {n} heads of {d} from head {first} of rows of {width}");
    }
    rows.inplace_op1(&NormaliseHeads { first, n, norm })
}

struct NormaliseHeads<'a> {
    first: usize,
    n: usize,
    norm: &'a RmsNorm,
}

impl InplaceOp1 for NormaliseHeads<'_> {
    fn name(&self) -> &'static str {
        "normalise_heads"
    }

    fn cpu_fwd(&self, rows: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let (_, width) = layout.shape().dims2()?;
        let (CpuStorage::F32(values), Some((start, end))) = (rows, layout.contiguous_offsets())
        else {
            bail!("normalise_heads: rows that are not contiguous f32")
        };
        with_host(&self.norm.weight, |weight| {
            let d = weight.len();
            for row in values[start..end].chunks_exact_mut(width) {
                for head in row[self.first * d..][..self.n * d].chunks_exact_mut(d) {
                    let mean = head.iter().map(|x| x * x).sum::<f32>() / d as f32;
                    let scale = 1.0 / (mean + self.norm.eps).sqrt();
                    for (x, weight) in head.iter_mut().zip(weight) {
                        *x *= scale * weight;
                    }
                }
            }
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_head_is_normalised_by_itself_and_the_others_are_left() -> Result<()> {
        let rows = Tensor::new(&[[9f32, 9.0, 3.0, 4.0, 0.0, 2.0, 7.0, 7.0]], &Device::Cpu)?;
        let norm = RmsNorm::new(Tensor::new(&[1f32, 2.0], &Device::Cpu)?, 0.0);
        normalise_heads(&rows, 1, 2, &norm)?;
        // sqrt(mean) is sqrt(12.5) and sqrt(2).
        let (a, b) = (12.5f32.sqrt(), 2f32.sqrt());
        let want = [9.0, 9.0, 3.0 / a, 8.0 / a, 0.0, 4.0 / b, 7.0, 7.0];
        for (got, want) in rows.flatten_all()?.to_vec1::<f32>()?.iter().zip(want) {
            assert!((got - want).abs() < 1e-6, "{got} for {want}");
        }
        assert!(normalise_heads(&rows, 3, 2, &norm).is_err());
        Ok(())
    }
}
