//! Angles of the rotary position embedding.
use crate::checkpoint::{RopeScaling, Rotary};
use crate::ops::Angles;
use candle_core::{Device, Result, Tensor};
use std::f64::consts::TAU;

/// Cosines and sines for every position up to the context's limit.
pub(super) fn angles(rotary: &Rotary, context: usize, device: &Device) -> Result<Angles> {
    // Angles in f64: at position 32,768 an f32 angle is off by 1e-3.
    let speeds = speeds(rotary);
    let magnitude = match &rotary.scaling {
        RopeScaling::Yarn { magnitude, .. } => f64::from(*magnitude),
        RopeScaling::None
        | RopeScaling::Linear { .. }
        | RopeScaling::Divided { .. }
        | RopeScaling::Llama3 { .. } => 1.0,
    };
    let angles = (0..context).flat_map(|p| speeds.iter().map(move |f| p as f64 * f));
    let (cos, sin): (Vec<f32>, Vec<f32>) = angles
        .map(|a| ((a.cos() * magnitude) as f32, (a.sin() * magnitude) as f32))
        .unzip();
    Ok(Angles {
        cos: Tensor::from_vec(cos, (context, speeds.len()), device)?,
        sin: Tensor::from_vec(sin, (context, speeds.len()), device)?,
    })
}

/// Radians a position for each pair, fast ones first.
fn speeds(rotary: &Rotary) -> Vec<f64> {
    let (dims, theta) = (rotary.dims as f64, f64::from(rotary.theta));
    let plain = (0..rotary.dims / 2).map(|i| theta.powf(-2.0 * i as f64 / dims));
    match &rotary.scaling {
        RopeScaling::None => plain.collect(),
        RopeScaling::Linear { factor } => plain.map(|speed| speed / f64::from(*factor)).collect(),
        RopeScaling::Divided { divisors } => {
            let divided = plain.zip(divisors);
            divided.map(|(speed, &by)| speed / f64::from(by)).collect()
        }
        RopeScaling::Llama3 {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_context,
        } => {
            let (low, high) = (f64::from(*low_freq_factor), f64::from(*high_freq_factor));
            let stretched = |speed: f64| {
                // Turns that the original context has room for.
                let turns = *original_context as f64 * speed / TAU;
                let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                speed * (kept + (1.0 - kept) / f64::from(*factor))
            };
            plain.map(stretched).collect()
        }
        RopeScaling::Yarn {
            factor,
            beta_fast,
            beta_slow,
            original_context,
            ..
        } => {
            // The pair that makes so many turns in the original context.
            let pair = |turns: f32| {
                let per_turn = *original_context as f64 / (f64::from(turns) * TAU);
                dims * per_turn.ln() / (2.0 * theta.ln())
            };
            let first = pair(*beta_fast).floor().max(0.0);
            let last = pair(*beta_slow).ceil().min(dims - 1.0);
            let span = (last - first).max(0.001);
            let stretched = |(i, speed): (usize, f64)| {
                let divided = ((i as f64 - first) / span).clamp(0.0, 1.0);
                speed * (1.0 - divided + divided / f64::from(*factor))
            };
            plain.enumerate().map(stretched).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rotary(scaling: RopeScaling) -> Rotary {
        Rotary {
            dims: 64,
            theta: 10_000.0,
            interleaved: false,
            scaling,
        }
    }

    #[test]
    fn scaled_speeds_keep_the_fast_pairs_and_divide_the_slow_ones() {
        let plain = speeds(&rotary(RopeScaling::None));
        let llama = speeds(&rotary(RopeScaling::Llama3 {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_context: 8_192,
        }));
        let yarn = speeds(&rotary(RopeScaling::Yarn {
            factor: 8.0,
            beta_fast: 32.0,
            beta_slow: 1.0,
            original_context: 8_192,
            magnitude: 1.0,
        }));
        for scaled in [llama, yarn] {
            assert_eq!(scaled[0], plain[0]);
            assert!((plain[31] / scaled[31] - 8.0).abs() < 1e-9);
            let ratios: Vec<f64> = plain.iter().zip(&scaled).map(|(a, b)| a / b).collect();
            assert!(ratios.is_sorted());
            assert!(ratios.iter().any(|r| (1.1..7.9).contains(r)));
        }
    }
}
