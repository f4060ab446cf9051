//! Whether a device has run out of memory.
use candle_core::Error;

/// True for what a device says that has no memory left: the same work in smaller parts may
/// still do.
pub fn is_out_of_memory(error: &Error) -> bool {
    match error {
        Error::WithBacktrace { inner, .. } => is_out_of_memory(inner),
        Error::Context { inner, .. } => is_out_of_memory(inner),
        Error::WithPath { inner, .. } => is_out_of_memory(inner),
        #[cfg(feature = "cuda")]
        Error::Cuda(error) => match error.downcast_ref::<egss_kernels::cuda::GpuError>() {
            Some(error) => error.is_out_of_memory(),
            // candle's own operations pass on what the driver says.
            None => error.to_string().contains("OUT_OF_MEMORY"),
        },
        _ => false,
    }
}
