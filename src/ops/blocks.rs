//! Whole KV blocks: made, and copied, which is the data side of copy-on-write.
use super::slice::with_host;
use candle_core::{CpuStorage, DType, Device, InplaceOp1, Layout, Result, Shape, Tensor, bail};
use egss_kernels::prefer_huge_pages;

/// A cache of zeros, f32. On a host its pages are taken from the system as they are
/// first written, huge ones where there are such: attention walks through all of a
/// trunk in each layer, and what it asks for ahead has to cross pages (eight rows over
/// 4,096 positions, one core: 31 thousand million products a second without, 40 with).
pub fn zeroed_cache<S: Into<Shape>>(shape: S, device: &Device) -> Result<Tensor> {
    let cache = Tensor::zeros(shape, DType::F32, device)?;
    if device.is_cpu() {
        with_host(&cache, prefer_huge_pages)?;
    }
    Ok(cache)
}

/// Copies block `from` over block `to` for each `(from, to)` of `copies`.
///
/// Shape: `cache: [N, ...]` of four dimensions, f32. Cost: a block read and written.
pub fn copy_blocks(cache: &Tensor, copies: &[(u32, u32)]) -> Result<()> {
    let (n, ..) = cache.dims4()?;
    if let Some(pair) = copies
        .iter()
        .find(|(a, b)| *a as usize >= n || *b as usize >= n || a == b)
    {
        bail!("copy_blocks: {pair:?} in a cache of {n} blocks");
    }
    if !cache.device().is_cpu() {
        for &(from, to) in copies {
            let block = cache.narrow(0, from as usize, 1)?.copy()?;
            cache.slice_set(&block, 0, to as usize)?;
        }
        return Ok(());
    }
    cache.inplace_op1(&CopyBlocks { copies })
}

struct CopyBlocks<'a> {
    copies: &'a [(u32, u32)],
}

impl InplaceOp1 for CopyBlocks<'_> {
    fn name(&self) -> &'static str {
        "copy_blocks"
    }

    fn cpu_fwd(&self, cache: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let (_, k, s, d) = layout.shape().dims4()?;
        let CpuStorage::F32(cache) = cache else {
            bail!("copy_blocks: the cache is not f32")
        };
        let cache = &mut cache[layout.start_offset()..];
        let len = k * s * d;
        for &(from, to) in self.copies {
            let from = from as usize * len;
            cache.copy_within(from..from + len, to as usize * len);
        }
        Ok(())
    }
}
