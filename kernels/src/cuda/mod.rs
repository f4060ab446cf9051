//! Kernels for NVIDIA GPUs (`cuda/*.cu`) and what launches them.
//!
//! Everything runs on one stream, in order. Shapes and lengths are checked at these
//! doors; indices that lie in device memory (blocks, slots, rows, token ids) are the
//! caller's to have checked, on the host, where they come from.
//!
//! Weights, queries, keys and values are bf16; sums, the residual stream and logits f32.
mod attention;
mod bandwidth;
mod blas;
mod buffer;
mod cache;
mod coded;
mod gpu;
mod graph;
mod launch;
mod logits;
mod plan;
mod product;
mod row;
mod shelf;

pub use buffer::{Buffer, View};
pub use cache::{HeadNorms, Turn};
pub use coded::CodedWeights;
pub use cudarc::cublas::CudaBlas;
pub use cudarc::driver::{CudaSlice, CudaStream, CudaView, DriverError};
pub use gpu::{Gpu, Memory};
pub use graph::{Graph, GraphMemory};
pub use half::bf16;
pub use logits::{Draw, RowFigures};
pub use plan::{GpuPlan, HeadCounts, PlanLayout};
pub use product::{PRODUCT_ROWS_MAX, Weights};

/// What goes wrong on a device.
#[derive(Debug)]
pub enum GpuError {
    /// The driver says what.
    Driver(DriverError),
    /// The library of products says what.
    Blas(cudarc::cublas::result::CublasError),
    /// More memory was asked for than the device has left.
    OutOfMemory { asked_bytes: u64, free_bytes: u64 },
    /// Work that cannot be recorded: why.
    Recording(&'static str),
}

impl GpuError {
    /// True where the device has no memory left: the same work in smaller parts may do.
    pub fn is_out_of_memory(&self) -> bool {
        use cudarc::cublas::sys::cublasStatus_t::CUBLAS_STATUS_ALLOC_FAILED;
        use cudarc::driver::sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY;
        match self {
            Self::OutOfMemory { .. } => true,
            // Launches take some, too.
            Self::Driver(error) => error.0 == CUDA_ERROR_OUT_OF_MEMORY,
            Self::Blas(error) => error.0 == CUBLAS_STATUS_ALLOC_FAILED,
            Self::Recording(_) => false,
        }
    }
}

impl std::fmt::Display for GpuError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const MIB: u64 = 1 << 20;
        match self {
            Self::Driver(error) => write!(f, "the GPU's driver says: {error}"),
            Self::Blas(error) => write!(f, "cuBLAS says: {error}"),
            Self::Recording(reason) => write!(f, "a step cannot be recorded: {reason}"),
            Self::OutOfMemory {
                asked_bytes,
                free_bytes,
            } => write!(
                f,
                "the GPU has no room for {} MiB more ({} MiB are free); lower --kv-mem or --ctx, \
                 or end what else uses it (nvidia-smi lists it)",
                asked_bytes.div_ceil(MIB),
                free_bytes / MIB
            ),
        }
    }
}

impl std::error::Error for GpuError {}

impl From<DriverError> for GpuError {
    fn from(error: DriverError) -> Self {
        Self::Driver(error)
    }
}

impl From<cudarc::cublas::result::CublasError> for GpuError {
    fn from(error: cudarc::cublas::result::CublasError) -> Self {
        Self::Blas(error)
    }
}

/// A result of the device's.
pub type Result<T> = std::result::Result<T, GpuError>;
