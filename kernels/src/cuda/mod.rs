//! Kernels for NVIDIA GPUs (`cuda/*.cu`) and what launches them.
//!
//! Everything runs on one stream, in order. Shapes and lengths are checked at these
//! doors; indices that lie in device memory (blocks, slots, rows, token ids) are the
//! caller's to have checked, on the host, where they come from.
//!
//! Weights, queries, keys and values are bf16; sums, the residual stream and logits f32.
//!
//! Queries, keys and values of a layer are one matrix; gate and up are another. Quantised
//! weights stay coded (`coded.rs`): Q4_K in 5 bits, the other formats of the CPU's kernels in
//! 9, Q5_K not at all. The codes go into the tensor cores' tiles as whole numbers, and sums
//! are scaled (`coded.cu`). Products of up to 32 rows are this crate's own (`product.cu`):
//! one to 32 rows cost the reading of the weights. More rows, a prefill's, go by cuBLAS;
//! batches of more than 256 rows unpack a coded matrix first.
//!
//! A layer is nine launches: norm, product, turn and store (with norms over heads where the
//! model has them), attention, its merge, product onto the residual, norm, product with the
//! gate, product onto the residual. Each begins while the one before it ends: a product has
//! its first weights in flight before it waits for its input. A step allocates nothing:
//! memory of activations is taken from the driver once and handed round by size ([`Buffer`]).
//! Everything that all layers read of a step (pieces, block runs, rows, positions, slots) is
//! one upload ([`GpuPlan`]).
//!
//! Unlike on a CPU, other rows of a batch may change a row's last bits, since attention is
//! cut to fill the device. `src/bin/gpu-test.rs` names the tolerances. `cuda/emulated.h` and
//! `cuda/emulated_driver.cpp` stand in for CUDA where there is no GPU: they show wrong
//! indices and faults of the host's side, and neither speed nor races between warps.
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
