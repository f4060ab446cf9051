//! Angles of the rotary position embedding.
use candle_core::{Device, Result, Tensor};

/// Cosines and sines for every position up to the context's limit.
pub(super) struct Rotary {
    cos: Tensor, // [context, D/2]
    sin: Tensor, // [context, D/2]
}

/// The rows of one batch.
pub(super) struct RotaryRows {
    pub(super) cos: Tensor, // [T, D/2]
    pub(super) sin: Tensor, // [T, D/2]
}

impl Rotary {
    pub(super) fn new(
        theta: f64,
        head_dim: usize,
        context: usize,
        device: &Device,
    ) -> Result<Self> {
        // Angles in f64: at position 32,768 an f32 angle is off by 1e-3.
        let half = head_dim / 2;
        let inverse: Vec<f64> = (0..half)
            .map(|i| theta.powf(-2.0 * i as f64 / head_dim as f64))
            .collect();
        let angles = (0..context).flat_map(|p| inverse.iter().map(move |f| p as f64 * f));
        let (cos, sin): (Vec<f32>, Vec<f32>) =
            angles.map(|a| (a.cos() as f32, a.sin() as f32)).unzip();
        Ok(Self {
            cos: Tensor::from_vec(cos, (context, half), device)?,
            sin: Tensor::from_vec(sin, (context, half), device)?,
        })
    }

    pub(super) fn rows(&self, positions: &[u32]) -> Result<RotaryRows> {
        let index = Tensor::new(positions, self.cos.device())?;
        Ok(RotaryRows {
            cos: self.cos.index_select(&index, 0)?,
            sin: self.sin.index_select(&index, 0)?,
        })
    }
}
