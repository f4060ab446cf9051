//! A mixture of experts: each token goes through a few of many feed-forward layers.
//!
//! Only the experts that some row of the batch chose are read, each once. With experts on the
//! host ([`Backend::of_experts`](super::Backend::of_experts)) the normed rows go there and
//! their weighted sums come back: the CPU's kernels multiply, mapped weights stay in the
//! file's pages, and the rest of the model may run on the GPU's kernels. The memory plan
//! counts both sides.
use super::router::choose;
use super::{Input, Projection, RmsNorm, Rows, feed_forward};
use crate::checkpoint::ExpertsConfig;
use candle_core::{Result, Tensor};

/// A gated feed-forward layer without norm and residual.
pub struct Expert {
    /// Gate, up.
    pub gate_up: Projection,
    pub down: Projection,
}

/// All experts of one layer: on the device that the rest of it is on, or on the host.
pub struct Mixture {
    config: ExpertsConfig,
    /// Scores every expert: `[E, X]` f32, on the experts' device.
    router: Tensor,
    /// Added to the scores for the choice only.
    correction: Option<Vec<f32>>,
    experts: Vec<Expert>,
    /// What every token goes through.
    shared: Option<Expert>,
}

impl Mixture {
    /// `router: [X, E]` and `correction: [X]`, f32, on the device of `experts`; `shared`
    /// is where the rows are that will come.
    pub fn new(
        config: ExpertsConfig,
        router: &Tensor,
        correction: Option<&Tensor>,
        experts: Vec<Expert>,
        shared: Option<Expert>,
    ) -> Result<Self> {
        if router.dims2()?.0 != experts.len() || config.n != experts.len() {
            candle_core::bail!("a router {:?} of {} experts", router, experts.len());
        }
        Ok(Self {
            config,
            router: router.t()?.contiguous()?,
            correction: correction.map(Tensor::to_vec1).transpose()?,
            experts,
            shared,
        })
    }

    /// What is added to `x: [T, E]` for its norm, `[T, E]`, and `onto` where it is given.
    ///
    /// Cost: only the experts that some row chooses are read, each once. Where they are
    /// on the host, the rows go there and back.
    pub fn forward(&self, x: &Rows, norm: &RmsNorm, onto: Option<&Rows>) -> Result<Rows> {
        let normed = norm.forward(x)?.to_tensor(self.router.device())?;
        let routed = x.beside(&self.routed(&normed)?)?;
        let sum = match onto {
            Some(onto) => onto.plus(&routed)?,
            None => routed,
        };
        match &self.shared {
            Some(Expert { gate_up, down }) => feed_forward(x, norm, gate_up, down, Some(&sum)),
            None => Ok(sum),
        }
    }

    /// What the experts that each row of `x: [T, E]` chooses make of it, weighted:
    /// `[T, E]`.
    fn routed(&self, x: &Tensor) -> Result<Tensor> {
        let (t, width) = x.dims2()?;
        let device = x.device();
        let mut rows_of = vec![Vec::new(); self.experts.len()];
        let mut weights = Vec::with_capacity(t * self.config.n_used);
        for (row, logits) in x.matmul(&self.router)?.to_vec2::<f32>()?.iter().enumerate() {
            let chosen = choose(logits, self.correction.as_deref(), &self.config);
            for (nth, (expert, weight)) in chosen.into_iter().enumerate() {
                rows_of[expert].push((row as u32, row * self.config.n_used + nth));
                weights.push(weight);
            }
        }
        // Expert after expert, then back to the order of the rows.
        let mut parts = Vec::new();
        let mut place = vec![0u32; weights.len()];
        let mut n_done = 0;
        for (expert, rows) in self.experts.iter().zip(&rows_of) {
            if rows.is_empty() {
                continue;
            }
            let numbers: Vec<u32> = rows.iter().map(|(row, _)| *row).collect();
            parts.push(expert.forward(&x.index_select(&Tensor::new(numbers, device)?, 0)?)?);
            for (_, at) in rows {
                place[*at] = n_done;
                n_done += 1;
            }
        }
        let parts = Tensor::cat(&parts, 0)?; // [T used, E]
        let parts = parts.index_select(&Tensor::new(place, device)?, 0)?;
        let parts = parts.reshape((t, self.config.n_used, width))?;
        let weights = Tensor::from_vec(weights, (t, self.config.n_used, 1), device)?;
        parts.broadcast_mul(&weights)?.sum(1)
    }

    /// Bytes that a step of one row reads of it.
    pub fn step_bytes(&self) -> usize {
        let all: usize = self.experts.iter().map(Expert::bytes).sum();
        let shared = self.shared.as_ref().map_or(0, Expert::bytes);
        4 * self.router.elem_count() + all / self.config.n * self.config.n_used + shared
    }
}

impl Expert {
    /// `x: [T, E]` to `[T, E]`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let inner = self.gate_up.forward_tensor(x, Input::Plain, None)?;
        self.down.forward_tensor(&inner, Input::Gated, None)
    }

    fn bytes(&self) -> usize {
        self.gate_up.bytes() + self.down.bytes()
    }
}
