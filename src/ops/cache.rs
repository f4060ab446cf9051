//! The numbers of the paged cache, on whatever device they are.
#[cfg(feature = "cuda")]
use super::device::gpu_error;
use super::{BLOCK_SIZE, Backend, Operations, copy_blocks, zeroed_cache};
use candle_core::{Result, Tensor};
#[cfg(feature = "cuda")]
use egss_kernels::cuda::{CudaSlice, Gpu, View, bf16};
use egss_kernels::value_dim;
#[cfg(feature = "cuda")]
use std::sync::Arc;

/// Sizes of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheShape {
    pub n_layers: usize,
    pub n_kv_heads: usize,
    pub head_dim: usize,
}

impl CacheShape {
    /// Bytes that one block takes over all layers.
    pub fn block_bytes(&self, backend: &Backend) -> usize {
        let values = match backend.operations() {
            Operations::GpuKernels => self.head_dim,
            Operations::Candle | Operations::CpuKernels => value_dim(self.head_dim),
        };
        let dims = self.head_dim + values;
        self.n_layers * self.n_kv_heads * BLOCK_SIZE * dims * backend.number_bytes()
    }
}

/// Keys and values of every layer.
pub enum Cache {
    /// Keys `[N, K, D, S]` and values `[N, K, S, D]` a layer, f32. D of the values is
    /// filled up to whole vectors.
    Tensors(Vec<(Tensor, Tensor)>),
    #[cfg(feature = "cuda")]
    Device(DeviceCache),
}

/// `[layers, 2, N, block]` bf16: keys, then values, of each layer.
#[cfg(feature = "cuda")]
pub struct DeviceCache {
    gpu: Arc<Gpu>,
    values: CudaSlice<bf16>,
    n_layers: usize,
    n_blocks: usize,
}

/// Keys and values of one layer.
#[derive(Clone, Copy)]
pub enum LayerCache<'a> {
    Tensors(&'a Tensor, &'a Tensor),
    #[cfg(feature = "cuda")]
    Device(View<'a, bf16>, View<'a, bf16>),
}

impl Cache {
    /// Zeroed, for `n_blocks` blocks.
    pub fn new(shape: CacheShape, n_blocks: usize, backend: &Backend) -> Result<Self> {
        let (k, d) = (shape.n_kv_heads, shape.head_dim);
        #[cfg(feature = "cuda")]
        if let Some(gpu) = backend.gpu() {
            let len = shape.n_layers * 2 * n_blocks * k * BLOCK_SIZE * d;
            return Ok(Self::Device(DeviceCache {
                gpu: gpu.clone(),
                values: gpu.zeros(len).map_err(gpu_error)?,
                n_layers: shape.n_layers,
                n_blocks,
            }));
        }
        let device = backend.device();
        let keys = (n_blocks, k, d, BLOCK_SIZE);
        let values = (n_blocks, k, BLOCK_SIZE, value_dim(d));
        let layers = (0..shape.n_layers)
            .map(|_| Ok((zeroed_cache(keys, device)?, zeroed_cache(values, device)?)));
        Ok(Self::Tensors(layers.collect::<Result<_>>()?))
    }

    /// Keys and values of one layer.
    pub fn layer(&self, layer: usize) -> LayerCache<'_> {
        match self {
            Self::Tensors(layers) => LayerCache::Tensors(&layers[layer].0, &layers[layer].1),
            #[cfg(feature = "cuda")]
            Self::Device(cache) => {
                let plane = cache.values.len() / (2 * cache.n_layers);
                let all = cache.gpu.view(&cache.values.as_view());
                let plane = |i: usize| all.slice(i * plane..(i + 1) * plane);
                LayerCache::Device(plane(2 * layer), plane(2 * layer + 1))
            }
        }
    }

    /// Copies block `from` over block `to` for each `(from, to)`, in every layer: on a
    /// GPU in one launch.
    pub fn copy_blocks(&self, copies: &[(u32, u32)]) -> Result<()> {
        if copies.is_empty() {
            return Ok(());
        }
        match self {
            Self::Tensors(layers) => {
                for (keys, values) in layers {
                    copy_blocks(keys, copies)?;
                    copy_blocks(values, copies)?;
                }
                Ok(())
            }
            #[cfg(feature = "cuda")]
            Self::Device(cache) => {
                let n = cache.n_blocks;
                let past = |(from, to): &&(u32, u32)| *from.max(to) as usize >= n || from == to;
                if let Some(pair) = copies.iter().find(past) {
                    candle_core::bail!("copy_blocks: {pair:?} in a cache of {n} blocks");
                }
                let all = cache.gpu.view(&cache.values.as_view());
                let copied = cache.gpu.copy_blocks(all, 2 * cache.n_layers, n, copies);
                copied.map_err(gpu_error)
            }
        }
    }
}
