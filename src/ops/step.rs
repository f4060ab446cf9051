//! What all layers of one step share: made once, and uploaded once where there is a GPU.
use super::composite::CompositeStep;
#[cfg(feature = "cuda")]
use super::device::gpu_error;
use super::{AttentionPlan, AttentionSpan, Backend, Heads, Operations};
use candle_core::{Result, Tensor, bail};
#[cfg(feature = "cuda")]
use egss_kernels::cuda::GpuPlan;
use egss_kernels::value_dim;

/// Cosines and sines of the rotary embedding, for every position up to the context's
/// limit. Cloning shares them.
#[derive(Clone)]
pub struct Angles {
    /// `[context, R / 2]` for R turned numbers of a head
    pub cos: Tensor,
    /// `[context, R / 2]`
    pub sin: Tensor,
}

/// A batch as its layers see it.
pub struct Step {
    pub(super) heads: Heads,
    pub(super) plan: AttentionPlan,
    pub(super) slots: Vec<u32>,
    pub(super) on: On,
}

/// What depends on the device.
pub(super) enum On {
    /// Cosines and sines of the batch's rows, `[T, R / 2]`.
    Tensors { cos: Tensor, sin: Tensor },
    /// The same for candle's operations alone.
    Composite {
        cos: Tensor,
        sin: Tensor,
        step: CompositeStep,
    },
    /// Everything in one upload, and all positions' angles.
    #[cfg(feature = "cuda")]
    Device { plan: Box<GpuPlan>, angles: Angles },
}

impl Step {
    /// Plans for spans that cover rows `0..T` in order; `positions` and `slots` of those
    /// rows. Panics as [`AttentionPlan::new`]; errors: a position past the angles.
    pub fn new(
        backend: &Backend,
        heads: Heads,
        spans: &[AttentionSpan],
        positions: &[u32],
        slots: &[u32],
        angles: &Angles,
    ) -> Result<Self> {
        let context = angles.cos.dims()[0];
        if let Some(position) = positions.iter().find(|&&p| p as usize >= context) {
            bail!("position {position} of a context of {context}");
        }
        let plan = AttentionPlan::new(spans);
        Ok(Self {
            on: On::new(backend, heads, spans, &plan, positions, slots, angles)?,
            heads,
            plan,
            slots: slots.to_vec(),
        })
    }
}

#[cfg(feature = "cuda")]
impl Step {
    /// The same with what lies on the GPU in memory of its own.
    pub(super) fn copied(&self, gpu: &egss_kernels::cuda::Gpu) -> Result<Self> {
        let On::Device { plan, angles } = &self.on else {
            bail!("a step of another device")
        };
        let plan = Box::new(plan.copied(gpu).map_err(gpu_error)?);
        Ok(Self {
            heads: self.heads,
            plan: self.plan.clone(),
            slots: self.slots.clone(),
            on: On::Device {
                plan,
                angles: angles.clone(),
            },
        })
    }
}

impl On {
    fn new(
        backend: &Backend,
        heads: Heads,
        spans: &[AttentionSpan],
        plan: &AttentionPlan,
        positions: &[u32],
        slots: &[u32],
        angles: &Angles,
    ) -> Result<Self> {
        #[cfg(feature = "cuda")]
        if let Some(gpu) = backend.gpu() {
            let plan = GpuPlan::new(
                gpu,
                heads.into(),
                &plan.pieces,
                &plan.seen,
                positions,
                slots,
            );
            return Ok(Self::Device {
                plan: Box::new(plan.map_err(gpu_error)?),
                angles: angles.clone(),
            });
        }
        let _ = plan; // the rows' own op has it
        let device = backend.device();
        let index = Tensor::new(positions, device)?;
        let cos = angles.cos.index_select(&index, 0)?;
        let sin = angles.sin.index_select(&index, 0)?;
        match backend.operations() {
            Operations::CpuKernels | Operations::GpuKernels => Ok(Self::Tensors { cos, sin }),
            Operations::Candle => {
                let values = value_dim(heads.head_dim);
                let step = CompositeStep::new(heads, spans, slots, values, device)?;
                Ok(Self::Composite { cos, sin, step })
            }
        }
    }
}
