//! What a run will take of memory, said before anything is loaded.
use super::batch_rows::{BATCH_ROWS_MAX, LOGIT_ROWS_MAX};
use crate::checkpoint::{Checkpoint, ModelConfig, ModelShape, Precision, TensorEntry};
use crate::kv::BLOCK_SIZE;
use crate::ops::{Backend, CacheShape, ExpertsPlace, Heads, Matrix, Operations};
use std::fmt;

/// Bytes by what they are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// The checkpoint's tensors at the width that they have in memory, and the vocabulary.
    pub weights_bytes: u64,
    /// Bytes, also of experts, that stay in the file's own pages, which other processes
    /// share and the system can give up and read again.
    pub mapped_bytes: u64,
    /// A mixture's experts that were asked to stay on the host, beside `weights_bytes`.
    pub experts_bytes: u64,
    /// The engines' KV pools when all of them are in use.
    pub kv_bytes: u64,
    /// Engines, each with a pool of its own.
    pub n_engines: usize,
    /// Blocks of one engine's KV pool.
    pub kv_blocks: usize,
    /// Activations and logits of the largest batch.
    pub work_bytes: u64,
    /// What the machine, or the GPU, has free; `None` where that is not known.
    pub available_bytes: Option<u64>,
    /// What the host has free beside a GPU; `None` where there is none, or not known.
    pub host_available_bytes: Option<u64>,
    /// True where it is a GPU's memory.
    pub on_gpu: bool,
}

/// What a plan has to know of a model's weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WeightSizes {
    /// Bytes as they are held where the model runs.
    pub bytes: u64,
    /// Bytes, also of experts, that stay in the file's own pages.
    pub mapped_bytes: u64,
    /// A mixture's experts on the host, which are not of the first.
    pub experts_bytes: u64,
    /// True where a GPU's kernels have codes, which large batches want unpacked.
    pub is_coded: bool,
}

impl WeightSizes {
    /// Those of a model's tensors, each where the device has it.
    pub fn new(
        tensors: impl Iterator<Item = TensorEntry>,
        config: &ModelConfig,
        backend: &Backend,
    ) -> Self {
        let backend = &backend_for(config, backend);
        let of_experts = &backend.of_experts();
        let mut sizes = Self::default();
        for tensor in tensors {
            let is_apart = match backend.experts_place() {
                ExpertsPlace::Device => false,
                ExpertsPlace::Host => tensor.is_expert,
            };
            let place = if is_apart { of_experts } else { backend };
            let (bytes, mapped_bytes) = match tensor.is_product {
                true => Matrix::planned_bytes(&tensor, place),
                false => (size_of::<f32>() as u64 * tensor.n, 0),
            };
            sizes.mapped_bytes += mapped_bytes;
            sizes.is_coded |= match place.operations() {
                Operations::GpuKernels => tensor.is_product && Matrix::is_coded(&tensor),
                Operations::Candle | Operations::CpuKernels => false,
            };
            match is_apart {
                true => sizes.experts_bytes += bytes,
                false => sizes.bytes += bytes,
            }
        }
        sizes
    }

    /// Those of a model of which only the shape is known, at a precision.
    pub fn of_shape(shape: &ModelShape<'_>, precision: Precision, backend: &Backend) -> Self {
        Self::new(shape.tensors(precision), shape.config(), backend)
    }
}

impl MemoryPlan {
    /// Plans for a checkpoint on a device, and `n_engines` pools of at most
    /// `kv_bytes_max` each.
    ///
    /// `batch_rows` is the most rows of one step, `logit_rows` the most rows of logits.
    pub fn new(
        checkpoint: &Checkpoint,
        backend: &Backend,
        kv_bytes_max: u64,
        n_engines: usize,
        batch_rows: usize,
        logit_rows: usize,
    ) -> Self {
        let config = checkpoint.config();
        let weights = WeightSizes::new(checkpoint.tensors(), config, backend);
        let kv_blocks = kv_bytes_max / cache_shape(config).block_bytes(backend) as u64;
        let rows = (batch_rows, logit_rows);
        Self::of_model(
            config,
            weights,
            backend,
            kv_blocks as usize,
            n_engines,
            rows,
        )
    }

    /// The least that a run takes: one engine, whose pool holds one sequence of
    /// `context` tokens.
    pub fn of_sequence(
        config: &ModelConfig,
        weights: WeightSizes,
        backend: &Backend,
        context: usize,
    ) -> Self {
        let backend = &backend_for(config, backend);
        let kv_blocks = context.div_ceil(BLOCK_SIZE);
        let rows = (BATCH_ROWS_MAX, LOGIT_ROWS_MAX);
        Self::of_model(config, weights, backend, kv_blocks, 1, rows)
    }

    fn of_model(
        config: &ModelConfig,
        weights: WeightSizes,
        backend: &Backend,
        kv_blocks: usize,
        n_engines: usize,
        (batch_rows, logit_rows): (usize, usize),
    ) -> Self {
        let block = cache_shape(config).block_bytes(backend) as u64;
        let row = 4 * config.hidden + 3 * ffn_width(config) + 3 * config.n_heads * config.head_dim;
        let activations = ACTIVATION_COPIES * 4 * batch_rows * row;
        let logits = 2 * 4 * logit_rows * config.vocab;
        // The largest stack of matrices as bf16, in memory that is handed out by powers of 2.
        let unpacked = match weights.is_coded {
            true => (2 * 2 * config.ffn * config.hidden).next_power_of_two(),
            false => 0,
        };
        Self {
            // The vocabulary is the host's.
            weights_bytes: match backend.operations() {
                Operations::GpuKernels => weights.bytes,
                Operations::Candle | Operations::CpuKernels => {
                    weights.bytes + config.vocab as u64 * TOKEN_BYTES
                }
            },
            mapped_bytes: weights.mapped_bytes,
            experts_bytes: weights.experts_bytes,
            kv_bytes: (n_engines * kv_blocks) as u64 * block,
            n_engines,
            kv_blocks,
            work_bytes: (activations + logits + unpacked) as u64,
            available_bytes: memory_available_bytes(backend),
            host_available_bytes: backend.free_bytes().and_then(|_| host_available_bytes()),
            on_gpu: backend.free_bytes().is_some(),
        }
    }

    /// Everything where the model runs: a GPU's memory, or the host's.
    pub fn total_bytes(&self) -> u64 {
        self.kv_bytes + self.rest_bytes()
    }

    /// Everything but the KV pools.
    fn rest_bytes(&self) -> u64 {
        let experts = match self.on_gpu {
            true => 0,
            false => self.experts_bytes,
        };
        self.weights_bytes + experts + self.work_bytes
    }

    /// Token positions that one pool holds.
    pub fn kv_tokens(&self) -> usize {
        self.kv_blocks * BLOCK_SIZE
    }

    /// Bytes of KV that would fit beside the rest, where anything is known.
    pub fn kv_bytes_that_fit(&self) -> Option<u64> {
        self.available_bytes?.checked_sub(self.rest_bytes())
    }

    /// False when more is planned than the machine has free.
    pub fn fits(&self) -> bool {
        self.available_bytes
            .is_none_or(|available| self.total_bytes() <= available)
            && self.host_fits()
    }

    /// False when more experts are to stay on the host beside a GPU than it has free.
    pub fn host_fits(&self) -> bool {
        self.host_available_bytes
            .is_none_or(|available| self.experts_bytes <= available)
    }
}

/// The device as it runs a model of this configuration.
pub(super) fn backend_for(config: &ModelConfig, backend: &Backend) -> Backend {
    let heads = Heads {
        n_heads: config.n_heads,
        n_kv_heads: config.n_kv_heads,
        head_dim: config.head_dim,
        rotary_dims: config.rotary.dims,
    };
    let mut inputs = vec![config.hidden, config.n_heads * config.head_dim];
    inputs.extend(config.gated_widths());
    backend.for_model(heads, &inputs, config.layer_kind())
}

/// The cache of a model of this configuration.
/// Tokens of one sequence that so many bytes of KV hold for a model of this shape.
pub fn context_held(config: &ModelConfig, backend: &Backend, kv_bytes_max: u64) -> usize {
    let backend = &backend_for(config, backend);
    let block_bytes = cache_shape(config).block_bytes(backend) as u64;
    (kv_bytes_max / block_bytes.max(1)) as usize * BLOCK_SIZE
}

pub(super) fn cache_shape(config: &ModelConfig) -> CacheShape {
    CacheShape {
        n_layers: config.n_layers,
        n_kv_heads: config.n_kv_heads,
        head_dim: config.head_dim,
    }
}

/// Inner numbers of a row in the widest feed-forward layer: what all its experts have.
fn ffn_width(config: &ModelConfig) -> usize {
    let experts = config.experts.as_ref();
    let mixture = experts.map_or(0, |experts| {
        experts.n_used * (experts.ffn + config.hidden) + experts.shared_ffn
    });
    config.ffn.max(mixture)
}

/// A row's activations as often as the allocator may end up holding them. Measured
/// on Qwen2.5-Coder-1.5B with candle's products: 366 MB after a first batch of 512
/// rows, 4.7 times the row's. The kernels hold less.
const ACTIVATION_COPIES: usize = 5;

/// A token in the tokenizer, its merges and the grammars' trie. Measured: 159 MB
/// for 151,936 tokens.
const TOKEN_BYTES: u64 = 1_050;

impl fmt::Display for MemoryPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const GIB: f64 = (1u64 << 30) as f64;
        write!(
            f,
            "memory: weights {:.2} GiB{}{}, KV {:.2} GiB ({}{} tokens), work {:.2} GiB",
            self.weights_bytes as f64 / GIB,
            match self.experts_bytes {
                0 => String::new(),
                bytes => format!(", experts on the host {:.2} GiB", bytes as f64 / GIB),
            },
            match self.mapped_bytes {
                0 => String::new(),
                bytes => format!(" ({:.2} of it in the file's own pages)", bytes as f64 / GIB),
            },
            self.kv_bytes as f64 / GIB,
            match self.n_engines {
                1 => String::new(),
                n => format!("{n} x "),
            },
            self.kv_tokens(),
            self.work_bytes as f64 / GIB,
        )?;
        match self.available_bytes {
            Some(available) => write!(
                f,
                "; {:.2} GiB free{}",
                available as f64 / GIB,
                if self.on_gpu { " on the GPU" } else { "" }
            )?,
            None => return Ok(()),
        }
        match self.host_available_bytes.filter(|_| self.experts_bytes > 0) {
            Some(available) => write!(f, ", {:.2} GiB on the host", available as f64 / GIB),
            None => Ok(()),
        }
    }
}

/// What a run on the device can have: of its own memory, or of the host's that it shares.
/// `None` where the system does not say (it does on Linux).
pub fn memory_available_bytes(backend: &Backend) -> Option<u64> {
    backend.free_bytes().or_else(host_available_bytes)
}

/// `MemAvailable` of Linux's /proc/meminfo.
fn host_available_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find(|line| line.starts_with("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}
