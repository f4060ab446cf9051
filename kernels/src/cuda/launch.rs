//! Launches: arguments, and how a kernel may begin before the last one's end.
use super::{Buffer, Gpu, Result, View};
use cudarc::driver::sys::{
    CUlaunchAttribute, CUlaunchAttributeID, CUlaunchAttributeValue, CUlaunchConfig,
    cuLaunchKernelEx,
};
use std::ffi::c_void;

/// One argument of a kernel.
pub(super) enum Arg {
    Pointer(u64),
    Int(i32),
    Size(usize),
    Float(f32),
}

impl Arg {
    /// A whole number that a kernel takes as an int.
    pub(super) fn int(n: usize) -> Self {
        Self::Int(i32::try_from(n).expect("sizes of a step are below 2^31"))
    }

    /// Memory that may be missing: the kernel then leaves out what it is for.
    pub(super) fn optional<T>(view: Option<View<'_, T>>) -> Self {
        view.map_or(Self::Pointer(0), Self::from)
    }
}

impl<T> From<View<'_, T>> for Arg {
    fn from(view: View<'_, T>) -> Self {
        Self::Pointer(view.pointer)
    }
}

impl<T> From<&Buffer<T>> for Arg {
    fn from(buffer: &Buffer<T>) -> Self {
        buffer.view().into()
    }
}

/// Threads of a launch.
#[derive(Clone, Copy)]
pub(super) struct Grid {
    pub(super) blocks: (usize, usize),
    pub(super) threads: usize,
}

impl Gpu {
    /// Launches a kernel behind all that was launched before. One that is not the first
    /// may begin early: the kernels wait themselves where they have to.
    ///
    /// # Safety
    /// The arguments are those of the kernel, and what they point to is as large as it
    /// reads and writes with this grid.
    pub(super) unsafe fn launch(&self, kernel: &str, grid: Grid, args: &[Arg]) -> Result<()> {
        let (x, y) = grid.blocks;
        if x == 0 || y == 0 {
            return Ok(());
        }
        let mut pointers: [*mut c_void; ARGS_MAX] = [std::ptr::null_mut(); ARGS_MAX];
        for (pointer, arg) in pointers.iter_mut().zip(args) {
            *pointer = match arg {
                Arg::Pointer(value) => std::ptr::from_ref(value).cast_mut().cast(),
                Arg::Int(value) => std::ptr::from_ref(value).cast_mut().cast(),
                Arg::Size(value) => std::ptr::from_ref(value).cast_mut().cast(),
                Arg::Float(value) => std::ptr::from_ref(value).cast_mut().cast(),
            };
        }
        assert!(args.len() <= ARGS_MAX, "{kernel}: {} arguments", args.len());
        let mut early = CUlaunchAttribute {
            id: CUlaunchAttributeID::CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION,
            pad: [0; 4],
            value: CUlaunchAttributeValue {
                programmaticStreamSerializationAllowed: 1,
            },
        };
        let config = CUlaunchConfig {
            gridDimX: u32::try_from(x).expect("a grid below 2^31"),
            gridDimY: u32::try_from(y).expect("a grid below 2^16"),
            gridDimZ: 1,
            blockDimX: grid.threads as u32,
            blockDimY: 1,
            blockDimZ: 1,
            sharedMemBytes: 0,
            hStream: self.launches_on(),
            attrs: &raw mut early,
            // Older devices do not know of it.
            numAttrs: u32::from(self.capability() >= (9, 0)),
        };
        self.stream.context().bind_to_thread()?;
        let function = self.function(kernel).cu_function();
        // SAFETY: the caller's promise; the pointers live until the call returns, which
        // copies what they point to.
        unsafe {
            cuLaunchKernelEx(
                &raw const config,
                function,
                pointers.as_mut_ptr(),
                std::ptr::null_mut(),
            )
        }
        .result()?;
        Ok(())
    }
}

/// Arguments of a kernel at most.
const ARGS_MAX: usize = 16;
