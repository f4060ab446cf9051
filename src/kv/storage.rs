//! The tensors behind the blocks.
use crate::ops::{BLOCK_SIZE, copy_blocks};
use candle_core::{DType, Device, Result, Tensor};

/// Keys and values of every layer, `[N, K, S, D]` f32 each.
pub struct KvStorage {
    layers: Vec<(Tensor, Tensor)>,
}

impl KvStorage {
    /// Bytes that one block takes over all layers.
    pub fn block_bytes(n_layers: usize, n_kv_heads: usize, head_dim: usize) -> usize {
        2 * n_layers * n_kv_heads * BLOCK_SIZE * head_dim * size_of::<f32>()
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
        let shape = (n_blocks, n_kv_heads, BLOCK_SIZE, head_dim);
        let layers = (0..n_layers)
            .map(|_| {
                Ok((
                    Tensor::zeros(shape, DType::F32, device)?,
                    Tensor::zeros(shape, DType::F32, device)?,
                ))
            })
            .collect::<Result<_>>()?;
        Ok(Self { layers })
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
