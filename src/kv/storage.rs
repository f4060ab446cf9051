//! The tensors behind the blocks.
use crate::ops::{BLOCK_SIZE, copy_blocks, value_dim, zeroed_cache};
use candle_core::{Device, Result, Tensor};

/// Keys `[N, K, D, S]` and values `[N, K, S, D]` of every layer, f32. D of the values
/// is filled up to whole vectors.
pub struct KvStorage {
    layers: Vec<(Tensor, Tensor)>,
}

impl KvStorage {
    /// Bytes that one block takes over all layers.
    pub fn block_bytes(n_layers: usize, n_kv_heads: usize, head_dim: usize) -> usize {
        let dims = head_dim + value_dim(head_dim);
        n_layers * n_kv_heads * BLOCK_SIZE * dims * size_of::<f32>()
    }

    /// Zeroed storage for `n_blocks` blocks. On a CPU the pages are only taken
    /// from the system when first written.
    pub fn new(
        n_layers: usize,
        n_blocks: usize,
        n_kv_heads: usize,
        head_dim: usize,
        device: &Device,
    ) -> Result<Self> {
        let keys = (n_blocks, n_kv_heads, head_dim, BLOCK_SIZE);
        let values = (n_blocks, n_kv_heads, BLOCK_SIZE, value_dim(head_dim));
        let layers = (0..n_layers)
            .map(|_| Ok((zeroed_cache(keys, device)?, zeroed_cache(values, device)?)))
            .collect::<Result<_>>()?;
        Ok(Self { layers })
    }

    /// Bytes of one position over all layers.
    pub fn token_bytes(&self) -> usize {
        let block = |cache: &Tensor| cache.elem_count() / cache.dims()[0].max(1);
        let blocks: usize = self.layers.iter().map(|(k, v)| block(k) + block(v)).sum();
        blocks / BLOCK_SIZE * size_of::<f32>()
    }

    /// Keys and values of one layer.
    pub fn layer(&self, layer: usize) -> (&Tensor, &Tensor) {
        let (k, v) = &self.layers[layer];
        (k, v)
    }

    /// Carries out a plan's copies, in every layer.
    pub fn copy_blocks(&self, copies: &[(u32, u32)]) -> Result<()> {
        if copies.is_empty() {
            return Ok(());
        }
        for (k, v) in &self.layers {
            copy_blocks(k, copies)?;
            copy_blocks(v, copies)?;
        }
        Ok(())
    }
}
