//! Angles of the rotary position embedding.
use crate::ops::Angles;
use candle_core::{Device, Result, Tensor};

/// Cosines and sines for every position up to the context's limit.
pub(super) fn angles(
    theta: f64,
    head_dim: usize,
    context: usize,
    device: &Device,
) -> Result<Angles> {
    // Angles in f64: at position 32,768 an f32 angle is off by 1e-3.
    let half = head_dim / 2;
    let inverse: Vec<f64> = (0..half)
        .map(|i| theta.powf(-2.0 * i as f64 / head_dim as f64))
        .collect();
    let angles = (0..context).flat_map(|p| inverse.iter().map(move |f| p as f64 * f));
    let (cos, sin): (Vec<f32>, Vec<f32>) = angles.map(|a| (a.cos() as f32, a.sin() as f32)).unzip();
    Ok(Angles {
        cos: Tensor::from_vec(cos, (context, half), device)?,
        sin: Tensor::from_vec(sin, (context, half), device)?,
    })
}
