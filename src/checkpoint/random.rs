//! Checkpoints that nobody trained: a model's shape with random weights, made where they
//! are wanted. For measuring speed and holding devices against each other.
use super::config::{ExpertsConfig, RopeScaling, Rotary, RouterConfig, RouterScores};
use super::names::Wanted;
use super::precision::stored_as;
use super::stored::{Stored, Weight};
use super::{ModelConfig, Precision};
use candle_core::{DType, Device, Result, Tensor};
use egss_kernels::{AlignedBytes, BlockMatrix, GgmlType, WeightBytes};
use half::f16;
use std::path::PathBuf;
use std::sync::Arc;

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
    /// Qwen3-MoE: experts, those that a token takes, and their width.
    experts: Option<(usize, usize, usize)>,
}

/// From the models' published config.json; the tiny ones are this project's, large
/// enough for every kernel and small enough for a CPU.
const SHAPES: [Shape; 7] = [
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
        experts: None,
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
        experts: None,
    },
    Shape {
        name: "tiny-moe",
        n_layers: 3,
        hidden: 512,
        n_heads: 8,
        n_kv_heads: 2,
        head_dim: 128,
        ffn: 1_536,
        vocab: 2_000,
        tied: false,
        head_norms: true,
        experts: Some((8, 2, 256)),
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
        experts: None,
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
        experts: None,
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
        experts: None,
    },
    Shape {
        name: "qwen3-30b-a3b",
        n_layers: 48,
        hidden: 2_048,
        n_heads: 32,
        n_kv_heads: 4,
        head_dim: 128,
        ffn: 6_144,
        vocab: 151_936,
        tied: false,
        head_norms: true,
        experts: Some((128, 8, 768)),
    },
];

/// Weights of a shape, at a precision.
pub(super) struct RandomWeights {
    /// What was asked for, for messages.
    pub path: PathBuf,
    pub config: ModelConfig,
    pub precision: Precision,
}

impl RandomWeights {
    /// By `SHAPE`, bf16, or `SHAPE:PRECISION`; `None` for a name that is none.
    pub fn of_name(name: &str) -> Option<Self> {
        let (shape, precision) = match name.split_once(':') {
            None => (name, Precision::Bf16),
            Some((shape, precision)) => {
                let known = Precision::of_name(precision);
                (shape, known.filter(|&known| known != Precision::Fp8)?)
            }
        };
        Some(Self {
            path: PathBuf::from(format!("random:{name}")),
            config: config(shape)?,
            precision,
        })
    }

    /// How a tensor is written, and its bytes.
    pub fn stored(&self, wanted: &Wanted) -> (Stored, u64) {
        stored_as(&self.config, wanted, self.precision)
    }

    /// A matrix, floats on the device, or quantised.
    pub fn matrix(&self, wanted: &Wanted, device: &Device) -> Result<Weight> {
        match self.stored(wanted) {
            (Stored::Blocks(kind), _) => {
                let blocks = blocks(&wanted.name, kind, wanted.shape[0], wanted.shape[1]);
                Ok(Weight::Blocks(Arc::new(blocks)))
            }
            _ => Ok(Weight::Plain(tensor(&wanted.name, &wanted.shape, device)?)),
        }
    }
}

/// The configuration of a shape; `None` for a name that is none.
fn config(name: &str) -> Option<ModelConfig> {
    let shape = SHAPES.iter().find(|shape| shape.name == name)?;
    Some(ModelConfig {
        architecture: match (shape.head_norms, shape.experts) {
            (_, Some(_)) => "qwen3_moe",
            (true, None) => "qwen3",
            (false, None) => "qwen2",
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
        experts: shape.experts.map(|(n, n_used, ffn)| ExpertsConfig {
            n,
            n_used,
            ffn,
            shared_ffn: 0,
            dense_layers: Vec::new(),
            router: RouterConfig {
                scores: RouterScores::Softmax,
                corrected: false,
                n_groups: 1,
                n_groups_used: 1,
                normalised: true,
                scale: 1.0,
            },
        }),
        latent: None,
    })
}

/// Messages one under the other: nothing was trained to see any marks.
pub(super) const TEMPLATE: &str = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}";

/// Names of all shapes and precisions, for messages.
pub(super) fn names() -> String {
    let precisions = Precision::GGUF.map(|precision| format!(":{}", precision.name()));
    let shapes = SHAPES.map(|shape| shape.name).join(", ");
    format!(
        "{shapes}, each alone or with {} behind it",
        precisions.join(" or ")
    )
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

/// Blocks `[n, k]` of random codes, of about the same deviation.
fn blocks(name: &str, kind: GgmlType, n: usize, k: usize) -> BlockMatrix {
    let mut bits = Bits::of(name);
    let mut bytes = AlignedBytes::zeroed(n * k / kind.block() * kind.block_bytes());
    for eight in bytes.chunks_mut(8) {
        eight.copy_from_slice(&bits.next().to_le_bytes()[..eight.len()]);
    }
    // Where a block's halves lie, and what they are: the deviation of a weight whose codes
    // and inner scales are drawn evenly is 1 in these units.
    let halves: &[(usize, f64)] = match kind {
        GgmlType::Q4_K => &[(0, 1.0 / 258.0), (2, 7.5 / 258.0)],
        GgmlType::Q6_K => &[(208, 1.0 / 1_366.0)],
        GgmlType::Q8_0 => &[(0, 1.0 / 73.9)],
        _ => &[(0, 1.0 / 9.2)], // Q5_0
    };
    for block in bytes.chunks_exact_mut(kind.block_bytes()) {
        for &(at, unit) in halves {
            let half = f16::from_f64(DEVIATION * unit);
            block[at..at + 2].copy_from_slice(&half.to_le_bytes());
        }
    }
    BlockMatrix::new(kind, n, k, WeightBytes::Owned(bytes))
}

/// About normally distributed: the sum of four uniform numbers, which has the deviation
/// of one over the square root of three.
fn numbers(name: &str, n: usize) -> Vec<f32> {
    let mut bits = Bits::of(name);
    let scale = DEVIATION as f32 * 3f32.sqrt();
    let mut next = || {
        let bits = bits.next();
        let part = |shift: u32| f32::from((bits >> shift) as u16) / 32_768.0 - 1.0;
        scale / 2.0 * (part(0) + part(16) + part(32) + part(48))
    };
    (0..n).map(|_| next()).collect()
}

/// Random bits, the same each time for a name.
struct Bits(u64);

impl Bits {
    fn of(name: &str) -> Self {
        let seed = |state: u64, byte: u8| (state ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        Self(name.bytes().fold(0xcbf2_9ce4_8422_2325, seed) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use egss_kernels::Inline;

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
        for kind in [
            GgmlType::Q4_K,
            GgmlType::Q5_0,
            GgmlType::Q6_K,
            GgmlType::Q8_0,
        ] {
            let weights = blocks("blk.0.attn_q.weight", kind, 100, 256).to_f32(&Inline);
            assert!(of(&weights, 1).abs() < 2e-3, "{kind:?}");
            let deviation = of(&weights, 2).sqrt() / DEVIATION;
            assert!((deviation - 1.0).abs() < 0.1, "{kind:?}: {deviation}");
        }
        Ok(())
    }
}
