//! Checkpoints that nobody trained: a model's shape with random weights, made where they
//! are wanted. For measuring speed and holding devices against each other.
use super::ModelConfig;
use super::config::{RopeScaling, Rotary};
use candle_core::{DType, Device, Result, Tensor};

/// A shape by name.
struct Shape {
    name: &'static str,
    n_layers: usize,
    hidden: usize,
    n_heads: usize,
    n_kv_heads: usize,
    head_dim: usize,
    ffn: usize,
    vocab: usize,
    tied: bool,
    /// Qwen3: norms over heads instead of biases.
    head_norms: bool,
}

/// From the models' published config.json; `tiny` and `tiny3` are this project's, large
/// enough for every kernel and small enough for a CPU.
const SHAPES: [Shape; 5] = [
    Shape {
        name: "tiny",
        n_layers: 3,
        hidden: 448,
        n_heads: 14,
        n_kv_heads: 2,
        head_dim: 64,
        ffn: 1_216,
        vocab: 2_000,
        tied: true,
        head_norms: false,
    },
    Shape {
        name: "tiny3",
        n_layers: 3,
        hidden: 512,
        n_heads: 8,
        n_kv_heads: 2,
        head_dim: 128,
        ffn: 1_536,
        vocab: 2_000,
        tied: false,
        head_norms: true,
    },
    Shape {
        name: "qwen2.5-0.5b",
        n_layers: 24,
        hidden: 896,
        n_heads: 14,
        n_kv_heads: 2,
        head_dim: 64,
        ffn: 4_864,
        vocab: 151_936,
        tied: true,
        head_norms: false,
    },
    Shape {
        name: "qwen2.5-7b",
        n_layers: 28,
        hidden: 3_584,
        n_heads: 28,
        n_kv_heads: 4,
        head_dim: 128,
        ffn: 18_944,
        vocab: 152_064,
        tied: false,
        head_norms: false,
    },
    Shape {
        name: "qwen3-8b",
        n_layers: 36,
        hidden: 4_096,
        n_heads: 32,
        n_kv_heads: 8,
        head_dim: 128,
        ffn: 12_288,
        vocab: 151_936,
        tied: false,
        head_norms: true,
    },
];

/// The configuration of a shape; `None` for a name that is none.
pub(super) fn config(name: &str) -> Option<ModelConfig> {
    let shape = SHAPES.iter().find(|shape| shape.name == name)?;
    Some(ModelConfig {
        architecture: match shape.head_norms {
            true => "qwen3",
            false => "qwen2",
        }
        .into(),
        n_layers: shape.n_layers,
        hidden: shape.hidden,
        n_heads: shape.n_heads,
        n_kv_heads: shape.n_kv_heads,
        head_dim: shape.head_dim,
        ffn: shape.ffn,
        vocab: shape.vocab,
        context_max: 32_768,
        rotary: Rotary {
            dims: shape.head_dim,
            theta: 1e6,
            interleaved: false,
            scaling: RopeScaling::None,
        },
        rms_eps: 1e-6,
        tied_embeddings: shape.tied,
        qkv_bias: !shape.head_norms,
        head_norms: shape.head_norms,
        post_norms: false,
        fused_gate_up: false,
        experts: None,
        latent: None,
    })
}

/// Messages one under the other: nothing was trained to see any marks.
pub(super) const TEMPLATE: &str = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}";

/// Names of all shapes, for messages.
pub(super) fn names() -> String {
    SHAPES.map(|shape| shape.name).join(", ")
}

/// Standard deviation of the weights, as models are initialised with.
const DEVIATION: f64 = 0.02;

/// Numbers above this are drawn by the device, its own way; below, by this file, the same
/// on every device.
const DRAWN_HERE_MAX: usize = 8 << 20;

/// A tensor by name: matrices and biases of normal deviation, weights of norms around 1.
/// All of them are whole bf16 numbers, so that a device that rounds loses nothing.
pub(super) fn tensor(name: &str, shape: &[usize], device: &Device) -> Result<Tensor> {
    let is_norm = name.contains("norm");
    let n: usize = shape.iter().product();
    let drawn = match n > DRAWN_HERE_MAX && !device.is_cpu() {
        true => Tensor::randn(0f32, DEVIATION as f32, shape, device)?,
        false => Tensor::from_vec(numbers(name, n), shape, device)?,
    };
    let shifted = if is_norm { (drawn + 1.0)? } else { drawn };
    shifted.to_dtype(DType::BF16)
}

/// About normally distributed: the sum of four uniform numbers, which has the deviation
/// of one over the square root of three.
fn numbers(name: &str, n: usize) -> Vec<f32> {
    let seed = |state: u64, byte: u8| (state ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    let mut state = name.bytes().fold(0xcbf2_9ce4_8422_2325, seed) | 1;
    let scale = DEVIATION as f32 * 3f32.sqrt();
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let part = |shift: u32| f32::from((state >> shift) as u16) / 32_768.0 - 1.0;
        scale / 2.0 * (part(0) + part(16) + part(32) + part(48))
    };
    (0..n).map(|_| next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_the_same_each_time_and_of_the_deviation_that_they_say() -> Result<()> {
        let draw = |name| -> Result<Vec<f32>> {
            let tensor = tensor(name, &[100, 100], &Device::Cpu)?;
            tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
        };
        let (a, b) = (draw("blk.0.attn_q.weight")?, draw("blk.1.attn_q.weight")?);
        assert_eq!(a, draw("blk.0.attn_q.weight")?);
        assert_ne!(a, b);
        let of = |values: &[f32], power: i32| {
            values
                .iter()
                .map(|v| f64::from(*v).powi(power))
                .sum::<f64>()
                / values.len() as f64
        };
        assert!(of(&a, 1).abs() < 1e-3);
        assert!((of(&a, 2).sqrt() / DEVIATION - 1.0).abs() < 0.05);
        assert!((of(&draw("blk.0.attn_norm.weight")?, 1) - 1.0).abs() < 1e-2);
        Ok(())
    }
}
