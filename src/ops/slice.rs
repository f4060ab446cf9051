//! A tensor's numbers as a slice.
use candle_core::{CpuStorage, Layout, Result, Storage, Tensor, bail};

/// The f32 values of a contiguous tensor on the host.
pub(super) fn host<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("a tensor of layout {layout:?} where a contiguous one is needed"),
    }
}

/// Calls `f` with the values of a contiguous f32 tensor on the host.
pub(super) fn with_host<R>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> R) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => Ok(f(host(storage, layout)?)),
        _ => bail!("a tensor on a device where one on the host is needed"),
    }
}
