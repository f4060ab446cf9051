//! How checkpoints write matrices, and what a model of some shape takes in each way:
//! known from the configuration alone, before there is a file.
//!
//! `egss models list` prints what a model takes from its manifest's `[config]` alone, by the
//! code that runs it: `families` reads it as if it were config.json, `names` gives the
//! tensors, this module their bytes, and `engine::MemoryPlan::of_sequence` adds the cache and
//! the activations of one sequence. Nothing is claimed of a precision that is neither
//! published nor readable from a GGUF file.
use super::ModelConfig;
use super::names::{Layout, Wanted, wanted};
use super::stored::{Stored, TensorEntry};
use egss_kernels::{DenseFormat, GgmlType};

/// How the matrices of a checkpoint are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// Safetensors as most models are published.
    Bf16,
    /// Safetensors of E4M3 numbers with a scale for each block of 128 x 128
    /// (DeepSeek-V3, arXiv 2412.19437, section 3.3).
    Fp8,
    /// GGUF: 8 bits, a scale for each 32 weights.
    Q8_0,
    /// GGUF: mostly 4 bits with two layers of scales, 6 where errors count most.
    Q4KM,
}

/// Rows and columns that share a scale in FP8.
const FP8_BLOCK: u64 = 128;

impl Precision {
    /// Those of a GGUF file, in descending order of width.
    pub const GGUF: [Self; 2] = [Self::Q8_0, Self::Q4KM];

    pub fn name(self) -> &'static str {
        match self {
            Self::Bf16 => "bf16",
            Self::Fp8 => "fp8",
            Self::Q8_0 => "q8_0",
            Self::Q4KM => "q4_k_m",
        }
    }

    /// By its name.
    pub fn of_name(name: &str) -> Option<Self> {
        let all = [Self::Bf16, Self::Fp8].into_iter().chain(Self::GGUF);
        all.into_iter().find(|precision| precision.name() == name)
    }

    /// True where the weights lie in a GGUF file.
    pub fn is_gguf(self) -> bool {
        Self::GGUF.contains(&self)
    }
}

/// Every tensor of a model of some shape, without a file.
pub struct ModelShape<'a> {
    config: &'a ModelConfig,
    wanted: Vec<Wanted>,
}

impl<'a> ModelShape<'a> {
    /// Cost: a list of all tensors, of which experts make some 100,000 in the largest
    /// models.
    pub fn new(config: &'a ModelConfig) -> Self {
        let wanted = wanted(config, Layout::Safetensors);
        Self { config, wanted }
    }

    /// Numbers of all weights.
    pub fn n_weights(&self) -> u64 {
        self.wanted.iter().map(n_numbers).sum()
    }

    /// Numbers of the weights that one token passes through: of the experts, as many as
    /// are chosen.
    pub fn n_active_weights(&self) -> u64 {
        let Some(experts) = &self.config.experts else {
            return self.n_weights();
        };
        let is_active = |wanted: &&Wanted| wanted.expert().is_none_or(|i| i < experts.n_used);
        self.wanted.iter().filter(is_active).map(n_numbers).sum()
    }

    /// The model's configuration.
    pub fn config(&self) -> &ModelConfig {
        self.config
    }

    /// Bytes of all weights in a checkpoint of this precision, headers left out.
    pub fn weight_bytes(&self, precision: Precision) -> u64 {
        self.tensors(precision).map(|tensor| tensor.bytes).sum()
    }

    /// All tensors as a checkpoint of this precision has them.
    pub fn tensors(&self, precision: Precision) -> impl Iterator<Item = TensorEntry> {
        self.wanted.iter().map(move |wanted| {
            let (stored, bytes) = stored_as(self.config, wanted, precision);
            TensorEntry::new(wanted, stored, bytes)
        })
    }
}

/// How a tensor of a model is written at a precision, and its bytes.
pub(super) fn stored_as(
    config: &ModelConfig,
    wanted: &Wanted,
    precision: Precision,
) -> (Stored, u64) {
    let n = n_numbers(wanted);
    let bf16 = (Stored::Dense(DenseFormat::Bf16), 2 * n);
    match precision {
        Precision::Bf16 => bf16,
        // Embedding, head, routers and vectors stay as they were.
        Precision::Fp8 if wanted.shape.len() < 2 || !is_of_layer(wanted) => bf16,
        Precision::Fp8 => {
            let blocks = |size: usize| (size as u64).div_ceil(FP8_BLOCK);
            let scales = 4 * blocks(wanted.shape[0]) * blocks(wanted.shape[1]);
            (Stored::E4m3, n + scales)
        }
        _ if wanted.shape.len() < 2 || is_router(wanted) => (Stored::F32, 4 * n),
        Precision::Q8_0 | Precision::Q4KM => {
            let kind = match precision {
                Precision::Q4KM => q4_k_m(config, wanted),
                _ => GgmlType::Q8_0,
            };
            let blocks = n.div_ceil(kind.block() as u64);
            (Stored::Blocks(kind), blocks * kind.block_bytes() as u64)
        }
    }
}

/// The format of a matrix in a file that llama.cpp calls Q4_K_M.
fn q4_k_m(config: &ModelConfig, wanted: &Wanted) -> GgmlType {
    let name = &wanted.name;
    let is_head = match config.tied_embeddings {
        true => name == "token_embd.weight",
        false => name == "output.weight",
    };
    let takes_more = ["attn_v.", "ffn_down"]
        .iter()
        .any(|part| name.contains(part));
    let finer = is_head || (takes_more && has_more_bits(config, name));
    let in_whole_blocks = wanted.shape[1].is_multiple_of(GgmlType::Q4_K.block());
    match (finer, in_whole_blocks) {
        (true, true) => GgmlType::Q6_K,
        (false, true) => GgmlType::Q4_K,
        (true, false) => GgmlType::Q8_0,
        (false, false) => GgmlType::Q5_0,
    }
}

/// The layers that llama.cpp gives more bits: the first and the last eighth, and every
/// third between (`use_more_bits` of its quantiser).
fn has_more_bits(config: &ModelConfig, name: &str) -> bool {
    let layer = name.strip_prefix("blk.").and_then(|n| n.split('.').next());
    let Some(layer) = layer.and_then(|layer| layer.parse::<usize>().ok()) else {
        return false;
    };
    let (n, eighth) = (config.n_layers, config.n_layers / 8);
    layer < eighth || layer >= 7 * n / 8 || (layer - eighth) % 3 == 2
}

fn n_numbers(wanted: &Wanted) -> u64 {
    wanted.shape.iter().map(|&size| size as u64).product()
}

fn is_router(wanted: &Wanted) -> bool {
    wanted.name.contains("ffn_gate_inp")
}

/// True for what FP8 checkpoints quantise: a layer's matrices but for the router.
fn is_of_layer(wanted: &Wanted) -> bool {
    wanted.name.starts_with("blk.") && !is_router(wanted)
}

#[cfg(test)]
mod tests {
    use super::super::{find_built_in, manifest_config};
    use super::*;

    /// What a GGUF file has beside its weights: mostly the vocabulary.
    const HEADER_BYTES_MAX: u64 = 8 << 20;

    /// Sizes of the GGUF files that Qwen publishes.
    #[test]
    fn gguf_files_are_as_large_as_the_published_ones() {
        let published = [
            ("qwen2.5-coder-7b-instruct", Precision::Q4KM, 4_683_073_536),
            ("qwen3-0.6b", Precision::Q8_0, 639_446_688),
            ("qwen3-4b", Precision::Q4KM, 2_497_280_256),
            ("qwen3-8b", Precision::Q8_0, 8_709_518_112),
            ("qwen3-8b", Precision::Q4KM, 5_027_783_488),
            ("qwen3-32b", Precision::Q8_0, 34_817_718_912),
            ("qwen3-32b", Precision::Q4KM, 19_762_149_024),
            // Qwen3-30B-A3B's, which is of the same shape.
            (
                "qwen3-coder-30b-a3b-instruct",
                Precision::Q4KM,
                18_556_685_824,
            ),
        ];
        for (name, precision, file_bytes) in published {
            let file_bytes: u64 = file_bytes;
            let config = manifest_config(&find_built_in(name)).unwrap().unwrap();
            let bytes = ModelShape::new(&config).weight_bytes(precision);
            let header = file_bytes.checked_sub(bytes);
            assert!(
                header.is_some_and(|header| header < HEADER_BYTES_MAX),
                "{name} {}: {bytes} of {file_bytes}",
                precision.name()
            );
        }
    }

    /// Kimi-K2's shards hold 1,029,173,256,720 bytes of tensors in all.
    #[test]
    fn fp8_shards_are_as_large_as_the_published_ones() {
        let config = manifest_config(&find_built_in("kimi-k2-instruct"));
        let bytes = ModelShape::new(&config.unwrap().unwrap()).weight_bytes(Precision::Fp8);
        let ratio = bytes as f64 / 1_029_173_256_720.0;
        assert!((ratio - 1.0).abs() < 1e-3, "{bytes}");
    }
}
