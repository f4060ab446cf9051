//! What a run will take of memory, said before anything is loaded.
use crate::checkpoint::{Checkpoint, ModelConfig};
use crate::kv::BLOCK_SIZE;
use crate::ops::{Backend, CacheShape};
use std::fmt;

/// Bytes by what they are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// The checkpoint's tensors, at the file's width, and the vocabulary.
    pub weights_bytes: u64,
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
    /// True where it is a GPU's memory.
    pub on_gpu: bool,
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
        let block = cache_shape(config).block_bytes(backend) as u64;
        let kv_blocks = (kv_bytes_max / block) as usize;
        let row = 4 * config.hidden + 3 * ffn_width(config) + 3 * config.n_heads * config.head_dim;
        let activations = ACTIVATION_COPIES * 4 * batch_rows * row;
        let logits = 2 * 4 * logit_rows * config.vocab;
        Self {
            weights_bytes: match backend.has_kernels() {
                true => backend.number_bytes() as u64 * checkpoint.n_weights(),
                false => checkpoint.weight_bytes() + config.vocab as u64 * TOKEN_BYTES,
            },
            kv_bytes: (n_engines * kv_blocks) as u64 * block,
            n_engines,
            kv_blocks,
            work_bytes: (activations + logits) as u64,
            available_bytes: backend.free_bytes().or_else(available_bytes),
            on_gpu: backend.free_bytes().is_some(),
        }
    }

    /// Everything.
    pub fn total_bytes(&self) -> u64 {
        self.weights_bytes + self.kv_bytes + self.work_bytes
    }

    /// Token positions that one pool holds.
    pub fn kv_tokens(&self) -> usize {
        self.kv_blocks * BLOCK_SIZE
    }

    /// Bytes of KV that would fit beside the rest, where anything is known.
    pub fn kv_bytes_that_fit(&self) -> Option<u64> {
        let rest = self.weights_bytes + self.work_bytes;
        self.available_bytes?.checked_sub(rest)
    }

    /// False when more is planned than the machine has free.
    pub fn fits(&self) -> bool {
        self.available_bytes
            .is_none_or(|available| self.total_bytes() <= available)
    }
}

/// The cache of a model of this configuration.
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
            "memory: weights {:.2} GiB, KV {:.2} GiB ({}{} tokens), work {:.2} GiB",
            self.weights_bytes as f64 / GIB,
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
            ),
            None => Ok(()),
        }
    }
}

/// `MemAvailable` of Linux's /proc/meminfo.
fn available_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find(|line| line.starts_with("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}
