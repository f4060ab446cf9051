//! Device memory that a step works in: taken from the driver once, then handed round.
use super::shelf::Shelf;
use super::{Gpu, GpuError, Result};
use cudarc::driver::sys::CUresult;
use cudarc::driver::{CudaSlice, CudaStream, CudaView, DevicePtr, DeviceRepr, result};
use std::marker::PhantomData;
use std::sync::Arc;

/// Some device memory, to look at. What of it a kernel writes, its door says.
pub struct View<'a, T> {
    pub(super) pointer: u64,
    len: usize,
    owner: PhantomData<&'a T>,
}

impl<T> Clone for View<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for View<'_, T> {}

impl<T> View<'_, T> {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where it lies, as the device has it.
    pub fn address(&self) -> u64 {
        self.pointer
    }

    /// `[start, end)` of it.
    pub fn slice(self, range: std::ops::Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.len);
        Self {
            pointer: self.pointer + (range.start * size_of::<T>()) as u64,
            len: range.len(),
            owner: PhantomData,
        }
    }
}

/// Memory of `len` values that goes back to its [`Gpu`] when dropped. Kernels that still
/// use it then are ahead, on the one stream, of whoever gets it next.
pub struct Buffer<T> {
    /// `None` only while it is dropped.
    memory: Option<CudaSlice<u8>>,
    pointer: u64,
    len: usize,
    shelf: Arc<Shelf>,
    of: PhantomData<T>,
}

impl<T> Buffer<T> {
    pub fn view(&self) -> View<'_, T> {
        View {
            pointer: self.pointer,
            len: self.len,
            owner: PhantomData,
        }
    }
}

impl<T> Drop for Buffer<T> {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            let class = class_of(memory.len());
            let mut shelf = self.shelf.lock().unwrap_or_else(|e| e.into_inner());
            shelf.entry(class).or_default().push(memory);
        }
    }
}

/// The class of memory of `bytes`: they are at most `1 << class`.
fn class_of(bytes: usize) -> u32 {
    const BYTES_MIN: usize = 512;
    bytes.max(BYTES_MIN).next_power_of_two().trailing_zeros()
}

/// As above, with the sentence for a full device.
fn taken<T>(
    stream: &CudaStream,
    bytes: usize,
    got: std::result::Result<T, cudarc::driver::DriverError>,
) -> Result<T> {
    got.map_err(|error| match error.0 {
        CUresult::CUDA_ERROR_OUT_OF_MEMORY => GpuError::OutOfMemory {
            asked_bytes: bytes as u64,
            free_bytes: stream.context().mem_get_info().map_or(0, |m| m.0 as u64),
        },
        _ => error.into(),
    })
}

impl Gpu {
    /// Memory for what a kernel is about to write whole.
    ///
    /// # Safety
    /// All of it is written before any of it is read.
    pub(super) unsafe fn uninit<T>(&self, len: usize) -> Result<Buffer<T>> {
        let class = class_of(len * size_of::<T>());
        let shelf = self.shelf();
        let shelved = {
            let mut shelf = shelf.lock().unwrap_or_else(|e| e.into_inner());
            shelf.get_mut(&class).and_then(Vec::pop)
        };
        let bytes = 1usize << class;
        let memory = match shelved {
            Some(memory) => memory,
            None if self.is_recording() => {
                return Err(GpuError::Recording("it asks for more memory than at first"));
            }
            None => {
                // SAFETY: the caller's promise.
                let take = || unsafe { self.stream.alloc::<u8>(bytes) };
                match taken(&self.stream, bytes, take()) {
                    Err(GpuError::OutOfMemory { .. }) => {
                        self.give_back()?;
                        taken(&self.stream, bytes, take())?
                    }
                    got => got?,
                }
            }
        };
        let pointer = memory.device_ptr(&self.stream).0;
        Ok(Buffer {
            pointer,
            memory: Some(memory),
            len,
            shelf,
            of: PhantomData,
        })
    }

    /// Gives the driver what lies on the shelf: in other sizes it may be of use.
    fn give_back(&self) -> Result<()> {
        let mut shelf = self.shelf.lock().unwrap_or_else(|e| e.into_inner());
        shelf.clear();
        drop(shelf);
        Ok(self.stream.synchronize()?)
    }

    /// Copies `from` over `to`, which is as long.
    pub fn copy<T>(&self, from: View<'_, T>, to: View<'_, T>) -> Result<()> {
        assert!(from.len == to.len, "{} values over {}", from.len, to.len);
        let (bytes, stream) = (from.len * size_of::<T>(), self.stream.cu_stream());
        self.stream.context().bind_to_thread()?;
        // SAFETY: both are as long, and live when the copy is queued; what comes behind it
        // on the one stream comes later.
        unsafe { result::memcpy_dtod_async(to.pointer, from.pointer, bytes, stream) }?;
        Ok(())
    }

    /// A copy of `values` on the device.
    pub fn upload<T: DeviceRepr>(&self, values: &[T]) -> Result<Buffer<T>> {
        // SAFETY: the copy writes all of it; from memory that is not locked it has read
        // `values` when it returns.
        unsafe {
            let buffer = self.uninit(values.len())?;
            self.stream.context().bind_to_thread()?;
            result::memcpy_htod_async(buffer.pointer, values, self.stream.cu_stream())?;
            Ok(buffer)
        }
    }

    /// A copy of `view` in memory of its own.
    pub fn copied<T>(&self, view: View<'_, T>) -> Result<Buffer<T>> {
        // SAFETY: the copy writes all of it.
        unsafe {
            let buffer = self.uninit(view.len)?;
            self.stream.context().bind_to_thread()?;
            let bytes = view.len * size_of::<T>();
            let stream = self.stream.cu_stream();
            result::memcpy_dtod_async(buffer.pointer, view.pointer, bytes, stream)?;
            Ok(buffer)
        }
    }

    /// A copy of `view` on the host. Waits for the device.
    pub fn download<T: DeviceRepr + Default + Clone>(&self, view: View<'_, T>) -> Result<Vec<T>> {
        let mut values = vec![T::default(); view.len];
        self.stream.context().bind_to_thread()?;
        // SAFETY: `values` is as long, and lives until the copy is done.
        unsafe {
            result::memcpy_dtoh_async(&mut values, view.pointer, self.stream.cu_stream())?;
        }
        self.stream.synchronize()?;
        Ok(values)
    }

    /// Memory of zeros that is not handed round: a cache's.
    pub fn zeros<T: DeviceRepr + cudarc::driver::ValidAsZeroBits>(
        &self,
        len: usize,
    ) -> Result<CudaSlice<T>> {
        let bytes = len * size_of::<T>();
        taken(&self.stream, bytes, self.stream.alloc_zeros(len))
    }

    /// A copy of values in memory that is not handed round: weights.
    pub(super) fn held<T: DeviceRepr>(&self, values: &[T]) -> Result<CudaSlice<T>> {
        // SAFETY: the copy writes all of it; from memory that is not locked it has read
        // `values` when it returns.
        unsafe {
            let held = taken(
                &self.stream,
                size_of_val(values),
                self.stream.alloc::<T>(values.len()),
            )?;
            let to = held.device_ptr(&self.stream).0;
            result::memcpy_htod_async(to, values, self.stream.cu_stream())?;
            Ok(held)
        }
    }

    /// Memory of weights one behind the other, copied.
    pub(super) fn joined<'a, T: DeviceRepr + 'a>(
        &self,
        parts: impl Iterator<Item = &'a CudaSlice<T>> + Clone,
    ) -> Result<CudaSlice<T>> {
        let len: usize = parts.clone().map(CudaSlice::len).sum();
        // SAFETY: the copies write all of it.
        unsafe {
            let bytes = len * size_of::<T>();
            let all = taken(&self.stream, bytes, self.stream.alloc::<T>(len))?;
            let mut to = all.device_ptr(&self.stream).0;
            for part in parts {
                let bytes = part.len() * size_of::<T>();
                let from = part.device_ptr(&self.stream).0;
                result::memcpy_dtod_async(to, from, bytes, self.stream.cu_stream())?;
                to += bytes as u64;
            }
            Ok(all)
        }
    }

    /// To look at memory that is somebody else's.
    pub fn view<'a, T>(&self, view: &CudaView<'a, T>) -> View<'a, T> {
        View {
            // No events are kept: one stream orders everything.
            pointer: view.device_ptr(&self.stream).0,
            len: view.len(),
            owner: PhantomData,
        }
    }
}
