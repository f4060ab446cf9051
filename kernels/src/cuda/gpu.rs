//! A GPU with the kernels loaded onto it.
use super::Result;
use super::shelf::Shelf;
use cudarc::cublas::CudaBlas;
use cudarc::driver::sys::CUdevice_attribute as Attribute;
use cudarc::driver::{CudaContext, CudaFunction, CudaStream};
use cudarc::nvrtc::Ptx;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Machine code by source file, and the kernels in it.
const MODULES: [(&[u8], &[&str]); 6] = [
    (
        include_bytes!(concat!(env!("OUT_DIR"), "/attention.fatbin")),
        &[
            "attend_32",
            "attend_64",
            "attend_128",
            "merge_32",
            "merge_64",
            "merge_128",
        ],
    ),
    (
        include_bytes!(concat!(env!("OUT_DIR"), "/cache.fatbin")),
        &["turn_and_store", "copy_blocks"],
    ),
    (
        include_bytes!(concat!(env!("OUT_DIR"), "/coded.fatbin")),
        &[
            "nibbles_8",
            "nibbles_16",
            "nibbles_32",
            "nibbles_gated_8",
            "nibbles_gated_16",
            "nibbles_gated_32",
            "bytes_8",
            "bytes_16",
            "bytes_32",
            "bytes_gated_8",
            "bytes_gated_16",
            "bytes_gated_32",
            "unpack_nibbles",
            "unpack_bytes",
            "embed_nibbles",
            "embed_bytes",
        ],
    ),
    (
        include_bytes!(concat!(env!("OUT_DIR"), "/logits.fatbin")),
        &["read_parts", "finish_rows", "draw_truncated"],
    ),
    (
        include_bytes!(concat!(env!("OUT_DIR"), "/product.fatbin")),
        &[
            "product_8",
            "product_16",
            "product_32",
            "product_wide_8",
            "product_wide_16",
            "product_wide_32",
            "product_gated_8",
            "product_gated_16",
            "product_gated_32",
        ],
    ),
    (
        include_bytes!(concat!(env!("OUT_DIR"), "/row.fatbin")),
        &[
            "rms_norm_bf16",
            "rms_norm_f32",
            "to_bf16",
            "silu_gate",
            "finish_product",
            "embed",
            "read_all",
            "take_rows",
        ],
    ),
];

/// A device's memory, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Not in use by anybody.
    pub free: u64,
    /// All there is.
    pub total: u64,
}

/// A stream of a GPU, and the kernels.
pub struct Gpu {
    pub(super) stream: Arc<CudaStream>,
    pub(super) blas: Arc<CudaBlas>,
    pub(super) shelf: Arc<Shelf>,
    pub(super) graph_launches: AtomicU64,
    functions: HashMap<&'static str, CudaFunction>,
    /// Multiprocessors.
    pub(super) n_processors: usize,
    /// Compute capability, major and minor.
    capability: (i32, i32),
}

impl Gpu {
    /// The oldest GPUs that the kernels run on: Ampere, compute capability 8.0.
    pub const CAPABILITY_MIN: (i32, i32) = (8, 0);

    /// Loads the kernels for the stream's device; `blas` is a library's handle on it.
    ///
    /// Errors: what the driver says, for a device older than
    /// [`Gpu::CAPABILITY_MIN`] that it has no code for it.
    pub fn new(stream: Arc<CudaStream>, blas: Arc<CudaBlas>) -> Result<Self> {
        let context = stream.context().clone();
        // SAFETY: all work of this process goes through this one stream, in order, so no
        // event has to say when memory is free to be used by another.
        unsafe { context.disable_event_tracking() };
        let mut functions = HashMap::new();
        for (image, names) in MODULES {
            let module = context.load_module(Ptx::from_binary(image.to_vec()))?;
            for &name in names {
                functions.insert(name, module.load_function(name)?);
            }
        }
        let processors = Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT;
        Ok(Self {
            n_processors: context.attribute(processors)? as usize,
            capability: context.compute_capability()?,
            functions,
            shelf: Arc::default(),
            graph_launches: AtomicU64::new(0),
            blas,
            stream,
        })
    }

    /// The device of that number, with a stream of its own.
    pub fn open(ordinal: usize) -> Result<Self> {
        let stream = CudaContext::new(ordinal)?.new_stream()?;
        let blas = Arc::new(CudaBlas::new(stream.clone())?);
        Self::new(stream, blas)
    }

    /// The device's name, as its driver has it.
    pub fn name(&self) -> Result<String> {
        Ok(self.stream.context().name()?)
    }

    /// Compute capability, major and minor.
    pub fn capability(&self) -> (i32, i32) {
        self.capability
    }

    /// The device's memory as it is now.
    pub fn memory(&self) -> Result<Memory> {
        let (free, total) = self.stream.context().mem_get_info()?;
        Ok(Memory {
            free: free as u64,
            total: total as u64,
        })
    }

    /// Waits until all that was launched is done.
    pub fn synchronize(&self) -> Result<()> {
        Ok(self.stream.synchronize()?)
    }

    pub(super) fn function(&self, name: &str) -> &CudaFunction {
        self.functions.get(name).expect("a kernel of the list")
    }
}
