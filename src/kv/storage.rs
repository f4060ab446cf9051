//! The numbers behind the blocks.
use crate::ops::{BLOCK_SIZE, Backend, Cache, CacheShape, LayerCache};
use candle_core::Result;

/// Keys and values of every layer, where the model runs.
pub struct KvStorage {
    cache: Cache,
    token_bytes: usize,
}

impl KvStorage {
    /// Zeroed storage for `n_blocks` blocks. On a CPU the pages are only taken
    /// from the system when first written.
    pub fn new(shape: CacheShape, n_blocks: usize, backend: &Backend) -> Result<Self> {
        Ok(Self {
            cache: Cache::new(shape, n_blocks, backend)?,
            token_bytes: shape.block_bytes(backend) / BLOCK_SIZE,
        })
    }

    /// Bytes of one position over all layers.
    pub fn token_bytes(&self) -> usize {
        self.token_bytes
    }

    /// Keys and values of one layer.
    pub fn layer(&self, layer: usize) -> LayerCache<'_> {
        self.cache.layer(layer)
    }

    /// Carries out a plan's copies, in every layer.
    pub fn copy_blocks(&self, copies: &[(u32, u32)]) -> Result<()> {
        self.cache.copy_blocks(copies)
    }
}
